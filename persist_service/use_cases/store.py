"""Storing what came through the queues, and setting off what follows from it. All of it may be repeated."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from mesh import tracing
from mesh.clock import now_ms
from persist_service.domain.log import Insertion, LogEntry, Verdict, advances, void
from persist_service.domain.notifications import ReadUpTo
from persist_service.domain.pointers import Pointer, merge
from persist_service.metrics import ENTRIES, STORE_LAG_SECONDS
from persist_service.ports import FollowUps
from persist_service.stores.all_stores import Stores
from persist_service.use_cases.notify import notify_members


async def store_entries(
    stores: Stores, follow_ups: FollowUps, entries: Sequence[LogEntry]
) -> Mapping[int, str]:
    """Stores log entries; the reasons of those that can never be stored, by their place.

    One write per collection for any number of entries of any chats. A repeat of an entry sets off again what
    follows from it, because nobody knows whether the first time got that far; each receiver knows a repeat by
    the message's id or position.

    Raises:
        Unavailable: MongoDB or RabbitMQ is down; do all of it again later.
    """
    if not tracing.on():
        return await _store(stores, follow_ups, entries)
    entries, spans = _traced(entries)
    with tracing.ending(spans):
        return await _store(stores, follow_ups, entries)


async def move_pointers(
    stores: Stores, follow_ups: FollowUps, pointers: Sequence[Pointer]
) -> Mapping[int, str]:
    """Stores pointers, drops the chat lists that show the old ones, and notifies of what was read.

    Nothing is ever rejected here. Pointers that stood there already are notified of as well: nobody knows
    whether the first time got that far. Raises ``Unavailable``.
    """
    moved = merge(pointers)
    await stores.memberships.advance(moved)
    read = [pointer for pointer in moved if pointer.read_seq]
    if read:
        await stores.chat_lists.drop({pointer.user_id for pointer in read})
        await follow_ups.notify(
            [ReadUpTo(pointer.chat_id, pointer.user_id, pointer.read_seq) for pointer in read]
        )
    return {}


async def _store(stores: Stores, follow_ups: FollowUps, entries: Sequence[LogEntry]) -> Mapping[int, str]:
    insertions = await _insert(stores, entries)
    for verdict, count in Counter(insertion.verdict for insertion in insertions).items():
        ENTRIES.labels(verdict.name.lower()).inc(count)
    in_log = [
        entry
        for entry, insertion in zip(entries, insertions, strict=True)
        if insertion.verdict in {Verdict.STORED, Verdict.REPEAT}
    ]
    voids = [
        void(entry.event)
        for entry, insertion in zip(entries, insertions, strict=True)
        if insertion.verdict in {Verdict.DUPLICATE, Verdict.REJECTED}
    ]
    if voids:
        # Those who were there saw something at these positions: who reads later must find no hole.
        # Where a position is taken, what stands there stays.
        await stores.changes.insert(voids)
    moved = merge(pointer for entry in in_log for pointer in entry.projection.pointers)
    read = [pointer for pointer in moved if pointer.read_seq]
    await asyncio.gather(
        stores.chats.advance(advances([*(entry.event for entry in in_log), *voids])),
        stores.memberships.advance(moved),
    )
    await stores.chat_lists.drop({pointer.user_id for pointer in read})
    if in_log:
        moved_to = [ReadUpTo(pointer.chat_id, pointer.user_id, pointer.read_seq) for pointer in read]
        await asyncio.gather(follow_ups.stored(in_log), notify_members(stores, follow_ups, in_log, moved_to))
    return {
        place: insertion.reason
        for place, insertion in enumerate(insertions)
        if insertion.verdict is Verdict.REJECTED
    }


async def _insert(stores: Stores, entries: Sequence[LogEntry]) -> list[Insertion]:
    messages = {n: entry for n, entry in enumerate(entries) if entry.projection.message}
    others = {n: entry.event for n, entry in enumerate(entries) if n not in messages}
    insertions: dict[int, Insertion] = {}
    if messages:
        with _writing(messages.values()):
            inserted = await stores.messages.insert([entry.event for entry in messages.values()])
        insertions.update(zip(messages, inserted, strict=True))
    if others:
        insertions.update(zip(others, await stores.changes.insert(list(others.values())), strict=True))
    now = now_ms()
    for entry in messages.values():
        STORE_LAG_SECONDS.observe(max(0, now - entry.event.occurred_at_ms) / 1000)
    return [insertions[place] for place in range(len(entries))]


def _traced(entries: Sequence[LogEntry]) -> tuple[Sequence[LogEntry], list[tracing.Span]]:
    """The entries as parts of spans of their own, for the messages whose trace is recorded."""
    spans: list[tracing.Span] = []
    under = list(entries)
    for place, entry in enumerate(entries):
        if entry.projection.message and entry.traceparent and (span := _begin_span(entry)):
            spans.append(span)
            under[place] = replace(entry, traceparent=span.traceparent)
    return under, spans


def _begin_span(entry: LogEntry) -> tracing.Span | None:
    return tracing.follow(
        "store message",
        entry.traceparent,
        attributes={
            "parley.chat_id": entry.event.chat_id,
            "parley.message_id": entry.event.id,
            "parley.seq": entry.event.seq,
        },
    )


def _writing(messages: Iterable[LogEntry]) -> AbstractContextManager[object]:
    """One write for messages of any traces: it links to all of them."""
    if not tracing.on():
        return nullcontext()
    return tracing.child(
        "mongodb insert messages",
        kind=tracing.Kind.CLIENT,
        attributes={"db.system.name": "mongodb", "db.operation.name": "insert"},
        links=[entry.traceparent for entry in messages if entry.traceparent],
    )
