"""Reading the stored log forward."""

import asyncio
from itertools import cycle
from typing import Final

from parley.events.v1.chat_event_pb2 import ChatEvent
from persist_service.domain.log import EPOCH_JUMP
from persist_service.ports import Changes, Chats, Messages

_NO_BOUND: Final = 2**63 - 1


class ListEntries:
    """Messages and changes as one log."""

    def __init__(self, chats: Chats, messages: Messages, changes: Changes) -> None:
        self._chats = chats
        self._messages = messages
        self._changes = changes

    async def __call__(self, chat_id: str, *, after_seq: int, limit: int) -> list[ChatEvent]:
        """The first ``limit`` stored entries beyond ``after_seq``, in order; what is not stored yet lacks.

        A chat that does not exist has none. Read in tight ranges, because a range is read whole by some
        servers: positions are dense within a life of the log, so the first range is nearly always enough; the
        next finds what stands beyond a few holes, and the third reaches across the jump between two lives.
        """
        heads = await self._chats.heads([chat_id])
        if not heads:
            return []
        last = heads[0][0].seq
        entries: list[ChatEvent] = []
        after = after_seq
        for width in cycle((limit, 8 * limit, EPOCH_JUMP)):
            # The head is moved after the entries are stored: at the end there may be more than it knows.
            upto = after + width if after + width < last else _NO_BOUND
            entries += await self._between(chat_id, after, upto, limit - len(entries))
            if len(entries) == limit or upto == _NO_BOUND:
                break
            after = upto
        return entries

    async def _between(self, chat_id: str, after: int, upto: int, limit: int) -> list[ChatEvent]:
        messages, changes = await asyncio.gather(
            self._messages.between(chat_id, after, upto, limit),
            self._changes.between(chat_id, after, upto, limit),
        )
        by_seq = {entry.seq: entry for entry in changes}
        # A void position may name one that another message holds: the message stands.
        by_seq.update((entry.seq, entry) for entry in messages)
        return [by_seq[seq] for seq in sorted(by_seq)[:limit]]
