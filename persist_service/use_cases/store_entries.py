"""Stores log entries and sets off what follows from them."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from mesh import tracing
from mesh.clock import now_ms
from persist_service.domain.log import Change, LogEntry, Message, advances, void
from persist_service.domain.notifications import ReadUpTo
from persist_service.domain.pointers import Pointer, merge
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
            void(entry)
            for entry, insertion in zip(entries, insertions, strict=True)
            if insertion.verdict in {Verdict.DUPLICATE, Verdict.REJECTED} and isinstance(entry.body, Message)
        ]
        if voids:
            # Those who were there saw something at these positions: who reads later must find no hole.
            await self._changes.insert(voids)
        messages = [entry.body for entry in in_log if isinstance(entry.body, Message)]
        # Who sends has read what is above.
        sent = merge(
            Pointer(m.chat_id, m.sender_id, read_seq=m.seq, read_number=m.number, at_ms=m.created_at_ms)
            for m in messages
            if not m.unread_by_sender
        )
        # Who joins begins with nothing unread, wherever the store was when it was told of the new member.
        joined = [
            Pointer(entry.chat_id, user_id, read_number=entry.number)
            for entry in in_log
            if isinstance(entry.body, Change)
            for user_id in entry.body.joined
        ]
        await asyncio.gather(
            self._chats.advance(advances([*in_log, *voids])), self._memberships.advance([*joined, *sent])
        )
        await self._chat_lists.drop({pointer.user_id for pointer in sent})
        if in_log:
            read = [ReadUpTo(pointer.chat_id, pointer.user_id, pointer.read_seq) for pointer in sent]
            await asyncio.gather(self._follow_ups.stored(in_log), self._notify_members(messages, read))
        return {
            place: insertion.reason
            for place, insertion in enumerate(insertions)
            if insertion.verdict is Verdict.REJECTED
        }

    async def _insert(self, entries: Sequence[LogEntry]) -> list[Insertion]:
        messages = {n: entry.body for n, entry in enumerate(entries) if isinstance(entry.body, Message)}
        changes = {n: entry for n, entry in enumerate(entries) if isinstance(entry.body, Change)}
        insertions: dict[int, Insertion] = {}
        if messages:
            with _writing(messages.values()):
                inserted = await self._messages.insert(list(messages.values()))
            insertions.update(zip(messages, inserted, strict=True))
        if changes:
            insertions.update(zip(changes, await self._changes.insert(list(changes.values())), strict=True))
        now = now_ms()
        for message in messages.values():
            STORE_LAG_SECONDS.observe(max(0, now - message.created_at_ms) / 1000)
        return [insertions[place] for place in range(len(entries))]


def _traced(entries: Sequence[LogEntry]) -> tuple[Sequence[LogEntry], list[tracing.Span]]:
    """The entries as parts of spans of their own, for the messages whose trace is recorded."""
    spans: list[tracing.Span] = []
    under = list(entries)
    for place, entry in enumerate(entries):
        if isinstance(entry.body, Message) and entry.body.traceparent and (span := _begin_span(entry.body)):
            spans.append(span)
            under[place] = replace(entry, body=replace(entry.body, traceparent=span.traceparent))
    return under, spans


def _begin_span(message: Message) -> tracing.Span | None:
    return tracing.follow(
        "store message",
        message.traceparent,
        attributes={
            "parley.chat_id": message.chat_id,
            "parley.message_id": message.id,
            "parley.seq": message.seq,
        },
    )


def _writing(messages: Iterable[Message]) -> AbstractContextManager[object]:
    """One write for messages of any traces: it links to all of them."""
    if not tracing.on():
        return nullcontext()
    return tracing.child(
        "mongodb insert messages",
        kind=tracing.Kind.CLIENT,
        attributes={"db.system.name": "mongodb", "db.operation.name": "insert"},
        links=[message.traceparent for message in messages if message.traceparent],
    )
