"""Decides what members need no notification of, and keeps the rest waiting in their inboxes."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce

from mesh import tracing
from mesh.clock import now_ms
from notify_service.domain.decision import (
    MAY_STAY_UNREAD,
    Occasion,
    Policy,
    Reason,
    Suppress,
    decide,
    suppressed,
)
from notify_service.domain.ledger import LedgerEntry
from notify_service.domain.notification import Message, NewMessage, Notification
from notify_service.domain.person import Person
from notify_service.domain.wording import preview
from notify_service.inbox.inbox import Arrival, Inbox, InboxKey, WaitingMessage
from notify_service.inbox.ports import Inboxes
from notify_service.inbox.recheck_active import NoteActive
from notify_service.metrics import DECISIONS
from notify_service.people.lookup import People
from notify_service.ports import Digests, Ledger

Change = Callable[[Inbox], Inbox]


@dataclass(slots=True)
class _Consequences:
    """What follows from a batch of jobs, collected so that each store is asked once."""

    changes: defaultdict[InboxKey, list[Change]] = field(default_factory=lambda: defaultdict(list))
    entries: list[LedgerEntry] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)
    active: dict[str, int] = field(default_factory=dict)
    """The last activity of users who would be notified if they were not active."""


class NotificationIntake:
    """Handles batches of jobs, at least once each; a repeat changes nothing.

    What needs no recheck is decided here: a member who is busy with the app, does not want to be notified, or
    has no device. The time at which the message was accepted decides, so that a job that waited or comes
    again is decided alike. Who is busy is noted, and looked at again when that is over. For whoever is left
    the message waits in an inbox, where it meets others of its chat.
    """

    def __init__(
        self,
        *,
        inboxes: Inboxes,
        people: People,
        ledger: Ledger,
        digests: Digests,
        note_active: NoteActive,
        policy: Policy,
    ) -> None:
        self._inboxes = inboxes
        self._people = people
        self._ledger = ledger
        self._digests = digests
        self._note_active = note_active
        self._policy = policy

    async def __call__(self, notifications: Sequence[Notification]) -> None:
        """Returns when all of it is stored.

        Raises:
            Unavailable: MongoDB cannot be reached. Call again with the same notifications.
        """
        if not tracing.on():
            await self._store(notifications)
            return
        notifications, spans = _traced(notifications)
        with tracing.ending(spans):
            await self._store(notifications)

    async def _store(self, notifications: Sequence[Notification]) -> None:
        at_ms = now_ms()
        new = [job for job in notifications if isinstance(job, NewMessage)]
        people = await self._people.find({recipient.user_id for job in new for recipient in job.recipients})
        then = _Consequences()
        for job in notifications:
            if isinstance(job, NewMessage):
                self._sort(job, people, then, at_ms)
            else:
                key = InboxKey(job.user_id, job.chat_id)
                then.changes[key].append(partial(Inbox.read, seq=job.seq))
        await self._inboxes.change({key: partial(_apply, changes) for key, changes in then.changes.items()})
        if then.entries:
            await self._ledger.write(then.entries)
        await self._note_active(then.active, at_ms)
        if then.digests:
            await self._digests.arm(then.digests, at_ms)
        for entry in then.entries:
            DECISIONS.labels(entry.detail).inc(len(entry.user_ids))

    def _sort(self, job: NewMessage, people: Mapping[str, Person], then: _Consequences, at_ms: int) -> None:
        """Whom the message waits for, and whom it does not."""
        message, shown = job.message, preview(job.message)
        missed: defaultdict[Reason, list[str]] = defaultdict(list)
        for recipient in job.recipients:
            person = people[recipient.user_id]
            mentioned = recipient.user_id in message.mentions
            reason = self._reason_against(message, person, mentioned=mentioned)
            if self._policy.active(
                recipient.last_active_ms, message.created_at_ms, partial=recipient.partial
            ):
                if reason is None:
                    noted = then.active.get(recipient.user_id, 0)
                    then.active[recipient.user_id] = max(noted, recipient.last_active_ms)
                reason = Reason.ACTIVE
            if reason is None:
                arrival = Arrival(
                    message=WaitingMessage(message.id, message.seq, mentioned, message.traceparent),
                    preview=shown,
                    direct=message.direct,
                    offline=recipient.last_active_ms == 0,
                    at_ms=at_ms,
                )
                key = InboxKey(recipient.user_id, message.chat_id)
                then.changes[key].append(partial(Inbox.take, arrival=arrival))
            else:
                missed[reason].append(recipient.user_id)
                if reason in MAY_STAY_UNREAD and person.wants_digests:
                    then.digests.add(recipient.user_id)
        for reason, user_ids in missed.items():
            then.entries.append(_entry(reason, user_ids, message, at_ms))

    def _reason_against(self, message: Message, person: Person, *, mentioned: bool) -> Reason | None:
        """Why the person would not be notified, active or not."""
        occasion = Occasion(
            chat_id=message.chat_id, direct=message.direct, mentioned=mentioned, at_ms=message.created_at_ms
        )
        decision = decide(occasion, person, self._policy)
        return decision.reason if isinstance(decision, Suppress) else None


def _traced(notifications: Sequence[Notification]) -> tuple[Sequence[Notification], list[tracing.Span]]:
    """The jobs as parts of spans of their own, for the messages whose trace is recorded."""
    spans: list[tracing.Span] = []
    under = list(notifications)
    for place, job in enumerate(notifications):
        if isinstance(job, NewMessage) and job.message.traceparent and (span := _begin_span(job)):
            spans.append(span)
            under[place] = replace(job, message=replace(job.message, traceparent=span.traceparent))
    return under, spans


def _begin_span(job: NewMessage) -> tracing.Span | None:
    return tracing.follow(
        "intake notification",
        job.message.traceparent,
        attributes={
            "parley.chat_id": job.message.chat_id,
            "parley.message_id": job.message.id,
            "parley.recipients": len(job.recipients),
        },
    )


def _apply(changes: Sequence[Change], inbox: Inbox) -> Inbox:
    return reduce(lambda state, change: change(state), changes, inbox)


def _entry(reason: Reason, user_ids: Sequence[str], message: Message, at_ms: int) -> LedgerEntry:
    return suppressed(
        reason,
        user_ids,
        message.chat_id,
        (message.id,),
        id_parts=(message.id, *sorted(user_ids)),
        id_at_ms=message.created_at_ms,
        at_ms=at_ms,
    )
