"""What is stored of a chat: messages, the log, pointers; and the next epoch of a log that Redis lost."""

import asyncio
from collections.abc import Collection
from itertools import cycle
from typing import Final

from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent
from persist_service.domain.chats import Head
from persist_service.domain.log import EPOCH_JUMP
from persist_service.domain.pointers import Pointer
from persist_service.ports import Barrier
from persist_service.stores.all_stores import Stores

POINTERS_LISTED: Final = 100
_NO_BOUND: Final = 2**63 - 1


async def list_messages(
    stores: Stores, chat_id: str, *, limit: int, before_seq: int, before_number: int
) -> list[Message]:
    """Up to ``limit`` messages below both bounds (0: no bound), the last first.

    A chat that does not exist has none.
    """
    if before_seq or before_number:
        return await stores.messages.before(chat_id, limit, seq=before_seq, number=before_number)
    heads = await stores.chats.heads([chat_id])
    return await stores.messages.last(chat_id, limit, head_seq=heads[0][0].seq) if heads else []


async def list_entries(stores: Stores, chat_id: str, *, after_seq: int, limit: int) -> list[ChatEvent]:
    """The first ``limit`` stored entries beyond ``after_seq``, in order; what is not stored yet is left out.

    A chat that does not exist has none. Read in tight ranges, because a range is read whole by some servers:
    positions are dense within an epoch, so the first range is nearly always enough; the next finds what
    stands beyond a few holes, and the third reaches across the jump between two epochs.
    """
    heads = await stores.chats.heads([chat_id])
    if not heads:
        return []
    last = heads[0][0].seq
    entries: list[ChatEvent] = []
    after = after_seq
    for width in cycle((limit, 8 * limit, EPOCH_JUMP)):
        # The head is moved after the entries are stored: at the end there may be more than it knows.
        upto = after + width if after + width < last else _NO_BOUND
        entries += await _between(stores, chat_id, after, upto, limit - len(entries))
        if len(entries) == limit or upto == _NO_BOUND:
            break
        after = upto
    return entries


async def _between(stores: Stores, chat_id: str, after: int, upto: int, limit: int) -> list[ChatEvent]:
    """Messages and changes as one log."""
    messages, changes = await asyncio.gather(
        stores.messages.between(chat_id, after, upto, limit),
        stores.changes.between(chat_id, after, upto, limit),
    )
    by_seq = {entry.seq: entry for entry in changes}
    # A void position may name one that another message holds: the message stands.
    by_seq.update((entry.seq, entry) for entry in messages)
    return [by_seq[seq] for seq in sorted(by_seq)[:limit]]


async def list_pointers(stores: Stores, chat_id: str) -> tuple[list[Pointer], int]:
    """The pointers of the first ``POINTERS_LISTED`` members by joining, and how many members there are.

    Nothing for a chat that does not exist.
    """
    heads, pointers = await asyncio.gather(
        stores.chats.heads([chat_id]), stores.memberships.pointers(chat_id, POINTERS_LISTED)
    )
    return (pointers, heads[0][1]) if heads else ([], 0)


async def rebuild_heads(
    stores: Stores, barrier: Barrier, chat_ids: Collection[str]
) -> list[tuple[Head, int]]:
    """Begins a new epoch of each log: where it begins, and how many members the chat has.

    Not before everything of the old epochs is stored. So the new one knows the count of messages, whoever
    reads history or looks for an earlier send finds everything, and the end of the old epoch is no hole that
    nobody can name.

    Raises:
        Unavailable: what was handed over before is not stored yet, or a server is down.
    """
    await barrier.wait()
    return await stores.chats.rebuild(chat_ids)
