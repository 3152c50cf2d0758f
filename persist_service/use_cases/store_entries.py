"""Stores log entries and sets off what follows from them."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from mesh import tracing
from mesh.clock import now_ms
from persist_service.domain.log import LogEntry, advances, void
from persist_service.domain.notifications import ReadUpTo
from persist_service.domain.pointers import merge
from persist_service.metrics import ENTRIES, STORE_LAG_SECONDS
from persist_service.ports import (
    Changes,
    ChatLists,
    Chats,
    FollowUps,
    Insertion,
    Memberships,
    Messages,
    Verdict,
)
from persist_service.use_cases.notify_members import NotifyMembers


class StoreEntries:
    """One write per collection for any number of entries of any chats.

    Idempotent as a whole: a repeat of an entry sets off again what follows from it, because nobody knows
    whether the first time got that far; each receiver knows a repeat by the message's id or position.
    """

    def __init__(
        self,
        *,
        messages: Messages,
        changes: Changes,
        chats: Chats,
        memberships: Memberships,
        chat_lists: ChatLists,
        follow_ups: FollowUps,
        notify_members: NotifyMembers,
    ) -> None:
        self._messages = messages
        self._changes = changes
        self._chats = chats
        self._memberships = memberships
        self._chat_lists = chat_lists
        self._follow_ups = follow_ups
        self._notify_members = notify_members

    async def __call__(self, entries: Sequence[LogEntry]) -> Mapping[int, str]:
        """Stores; returns the reasons of those entries that can never be stored, by their place.

        Raises:
            Unavailable: MongoDB or RabbitMQ is down; do all of it again later.
        """
        if not tracing.on():
            return await self._store(entries)
        entries, spans = _traced(entries)
        with tracing.ending(spans):
            return await self._store(entries)

    async def _store(self, entries: Sequence[LogEntry]) -> Mapping[int, str]:
        insertions = await self._insert(entries)
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
            await self._changes.insert(voids)
        moved = merge(pointer for entry in in_log for pointer in entry.projection.pointers)
        read = [pointer for pointer in moved if pointer.read_seq]
        await asyncio.gather(
            self._chats.advance(advances([*(entry.event for entry in in_log), *voids])),
            self._memberships.advance(moved),
        )
        await self._chat_lists.drop({pointer.user_id for pointer in read})
        if in_log:
            told = [ReadUpTo(pointer.chat_id, pointer.user_id, pointer.read_seq) for pointer in read]
            await asyncio.gather(self._follow_ups.stored(in_log), self._notify_members(in_log, told))
        return {
            place: insertion.reason
            for place, insertion in enumerate(insertions)
            if insertion.verdict is Verdict.REJECTED
        }

    async def _insert(self, entries: Sequence[LogEntry]) -> list[Insertion]:
        messages = {n: entry for n, entry in enumerate(entries) if entry.projection.message}
        others = {n: entry.event for n, entry in enumerate(entries) if n not in messages}
        insertions: dict[int, Insertion] = {}
        if messages:
            with _writing(messages.values()):
                inserted = await self._messages.insert([entry.event for entry in messages.values()])
            insertions.update(zip(messages, inserted, strict=True))
        if others:
            insertions.update(zip(others, await self._changes.insert(list(others.values())), strict=True))
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
