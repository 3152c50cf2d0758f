"""Notifies users, after a last look, of what has waited long enough."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from mesh import tracing
from mesh.clock import now_ms
from notify_service.domain.decision import MAY_STAY_UNREAD, Policy, Reason, suppressed
from notify_service.domain.delivery import Lane, NewDelivery
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.ledger import MAX_MESSAGES, LedgerEntry, Outcome, entry_id
from notify_service.domain.person import Person
from notify_service.domain.push import Push, PushKind, to_payload
from notify_service.domain.wording import word
from notify_service.inbox.inbox import Batch, Inbox, Shown
from notify_service.inbox.ports import HandedOver, Inboxes, Members
from notify_service.inbox.recheck import Attention, Findings, ToNotify, Verdict, judge
from notify_service.inbox.recheck_active import NoteActive
from notify_service.metrics import DECISIONS
from notify_service.people.lookup import People
from notify_service.ports import Deliveries, Digests, Ledger, Sender

_NOTIFIED: Final = "notified"


@dataclass(frozen=True, slots=True)
class _Case:
    """One claimed inbox and what becomes of it."""

    inbox: Inbox
    person: Person
    attention: Attention
    verdict: Verdict | None
    """None where nothing waited: there is something to take away."""
    span: tracing.Span | None = None

    @property
    def to_notify(self) -> ToNotify | None:
        return self.verdict.to_notify if self.verdict else None

    @property
    def was_active(self) -> bool:
        """The user was not notified for being active, which may be over soon."""
        return self.verdict is not None and any(
            reason is Reason.ACTIVE for reason, _ in self.verdict.suppressed
        )

    @property
    def clearing(self) -> Shown | None:
        """What is shown in place of it takes it away as well."""
        return None if self.to_notify else self.inbox.to_clear


class Dispatch:
    """Decides claimed batches and hands over what goes out.

    The order makes it safe to be cut off anywhere: deliveries and ledger entries have ids that a repeat makes
    again, and the inbox is settled last. Until then it stays claimed, and is decided again when that is over.
    """

    def __init__(
        self,
        *,
        inboxes: Inboxes,
        members: Members,
        people: People,
        deliveries: Deliveries,
        handed_over: HandedOver,
        ledger: Ledger,
        digests: Digests,
        note_active: NoteActive,
        senders: Mapping[DeviceKind, Sender],
        policy: Policy,
        expire_ms: int,
    ) -> None:
        self._inboxes = inboxes
        self._members = members
        self._people = people
        self._deliveries = deliveries
        self._handed_over = handed_over
        self._ledger = ledger
        self._digests = digests
        self._note_active = note_active
        self._senders = senders
        self._policy = policy
        self._expire_ms = expire_ms

    async def __call__(self, claimed: Sequence[Inbox]) -> None:
        """Returns when all is handed over and settled.

        Raises:
            Unavailable: MongoDB or persist_service cannot be reached. Nobody is notified blindly; call again.
        """
        at_ms = now_ms()
        cases = await self._look(claimed, at_ms)
        with tracing.ending([case.span for case in cases if case.span]):
            await self._carry_out(cases, at_ms)
        _count(cases)

    async def _carry_out(self, cases: Sequence[_Case], at_ms: int) -> None:
        badges = await self._badges(cases, at_ms)
        deliveries = [
            delivery
            for case in cases
            for delivery in self._deliveries_of(case, badges.get(case.person.user_id, 0), at_ms)
        ]
        if deliveries:
            await self._deliveries.add(deliveries)
        if entries := [entry for case in cases for entry in _entries(case, at_ms)]:
            await self._ledger.write(entries)
        active = {case.person.user_id: case.attention.last_active_ms for case in cases if case.was_active}
        await self._note_active(active, at_ms)
        if mailed := {case.person.user_id for case in cases if _may_stay_unread(case)}:
            await self._digests.arm(mailed, at_ms)
        notified_before = await self._notified_before(cases)
        await self._inboxes.change(
            {case.inbox.key: _settlement(case, notified_before, at_ms) for case in cases}
        )

    async def _look(self, claimed: Sequence[Inbox], at_ms: int) -> list[_Case]:
        waiting = [(inbox.key, inbox.firing) for inbox in claimed if inbox.firing]
        keys = [key for key, _ in waiting]
        messages = {(key.chat_id, message.id) for key, batch in waiting for message in batch.messages}
        people = await self._people.find({inbox.key.user_id for inbox in claimed})
        attentions, deleted_ids = await self._members.attention(keys, messages) if keys else ((), ())
        known = dict(zip(keys, attentions, strict=True))
        cases = []
        for inbox in claimed:
            person, attention = people[inbox.key.user_id], known.get(inbox.key, Attention(member=True))
            verdict = None
            if inbox.firing:
                findings = Findings(attention, deleted_ids, person, at_ms)
                verdict = judge(inbox, inbox.firing, findings, self._policy)
            cases.append(_Case(inbox, person, attention, verdict, _begin_span(inbox, verdict)))
        return cases

    async def _notified_before(self, cases: Sequence[_Case]) -> Mapping[str, Sequence[str]]:
        """Devices that an earlier decision notified, which broke off and is another now; by the batch."""
        devices = {
            _key(batch, device): (batch.id, device.id)
            for case in cases
            if (batch := case.inbox.firing) and not case.to_notify
            for device in self._policy.reach(case.person)
        }
        notified: dict[str, list[str]] = {}
        for key in await self._handed_over.known(devices) if devices else ():
            batch_id, device_id = devices[key]
            notified.setdefault(batch_id, []).append(device_id)
        return notified

    async def _badges(self, cases: Sequence[_Case], at_ms: int) -> Mapping[str, int]:
        people = {case.person.user_id: case.person for case in cases if case.to_notify or case.clearing}
        if not people:
            return {}
        without = {user_id: self._policy.uncounted(person, at_ms) for user_id, person in people.items()}
        return await self._members.unread_totals(without)

    def _deliveries_of(self, case: _Case, badge: int, at_ms: int) -> list[NewDelivery]:
        if case.to_notify and case.inbox.firing:
            counts = case.inbox.key.chat_id not in self._policy.uncounted(case.person, at_ms)
            push = _show(case, case.inbox.firing, case.to_notify, badge, counts=counts)
            traceparent = case.span.traceparent if case.span else ""
            message_ids = tuple(message.id for message in case.to_notify.messages)
            return [
                self._delivery(
                    _key(case.inbox.firing, device),
                    push,
                    device,
                    message_ids,
                    at_ms,
                    traceparent=traceparent,
                )
                for device in case.to_notify.devices
            ]
        if case.clearing:
            push = Push(
                PushKind.CLEAR,
                case.inbox.key.chat_id,
                badge,
                urgent=False,
                batch_id=case.clearing.batch_id,
            )
            return [
                self._delivery(f"clear:{case.clearing.batch_id}:{device.id}", push, device, (), at_ms)
                for device in self._policy.reach(case.person)
                if device.id in case.clearing.device_ids
            ]
        return []

    def _delivery(
        self,
        key: str,
        push: Push,
        device: Device,
        message_ids: tuple[str, ...],
        at_ms: int,
        *,
        traceparent: str = "",
    ) -> NewDelivery:
        return NewDelivery(
            key=key,
            lane=Lane.DEVICE,
            provider=self._senders[device.kind].provider(device),
            target_id=device.id,
            payload=to_payload(push),
            created_at_ms=at_ms,
            expires_at_ms=at_ms + self._expire_ms,
            user_id=device.user_id,
            chat_id=push.chat_id,
            message_ids=message_ids,
            traceparent=traceparent,
        )


def _key(batch: Batch, device: Device) -> str:
    return f"{batch.id}:{device.id}"


def _begin_span(inbox: Inbox, verdict: Verdict | None) -> tracing.Span | None:
    """One for all messages that one push is about."""
    if not tracing.on() or verdict is None or verdict.to_notify is None:
        return None
    return tracing.together(
        "notify user",
        (message.traceparent for message in verdict.to_notify.messages),
        attributes={
            "parley.chat_id": inbox.key.chat_id,
            "parley.messages": len(verdict.to_notify.messages),
            "parley.devices": len(verdict.to_notify.devices),
        },
    )


def _show(case: _Case, batch: Batch, to_notify: ToNotify, badge: int, *, counts: bool) -> Push:
    # What is asked at two moments may not fit: there is one message at least, and it is in the total.
    count = max(1, case.attention.unread)
    shows = case.person.preferences.show_preview
    wording = word(batch.preview, count, show_preview=shows, deleted=to_notify.last_deleted)
    return Push(
        kind=PushKind.SHOW,
        chat_id=case.inbox.key.chat_id,
        badge=max(count if counts else 1, badge),
        title=wording.title,
        body=wording.body,
        message_id=to_notify.messages[-1].id,
        sender_id="" if to_notify.last_deleted else batch.preview.sender_id,
        count=count,
        at_ms=batch.preview.at_ms,
        batch_id=batch.id,
        chat_title=batch.preview.chat_title,
        seq=to_notify.messages[-1].seq,
        direct=batch.direct,
        mentioned=any(message.mentions for message in to_notify.messages),
    )


def _entries(case: _Case, at_ms: int) -> list[LedgerEntry]:
    """Why messages of it are not notified, and why what is shown is taken away.

    What is notified has an entry per attempt, written by who makes it.
    """
    return [*_suppressions(case, at_ms), *_clearings(case, at_ms)]


def _clearings(case: _Case, at_ms: int) -> list[LedgerEntry]:
    if case.clearing is None:
        return []
    reason = case.inbox.why_cleared.value
    return [
        LedgerEntry(
            id=entry_id(case.inbox.notified_at_ms, case.clearing.batch_id, Outcome.CLEARED.value),
            user_ids=(case.person.user_id,),
            message_ids=(case.clearing.message_id,),
            chat_id=case.inbox.key.chat_id,
            outcome=Outcome.CLEARED,
            detail=reason,
            at_ms=at_ms,
        )
    ]


def _suppressions(case: _Case, at_ms: int) -> list[LedgerEntry]:
    batch = case.inbox.firing
    if batch is None or case.verdict is None:
        return []
    return [
        suppressed(
            reason,
            (case.person.user_id,),
            case.inbox.key.chat_id,
            [message.id for message in messages[start : start + MAX_MESSAGES]],
            id_parts=(batch.id, str(start)),
            id_at_ms=batch.last_at_ms,
            at_ms=at_ms,
        )
        for reason, messages in case.verdict.suppressed
        for start in range(0, len(messages), MAX_MESSAGES)
    ]


def _settlement(
    case: _Case, notified_before: Mapping[str, Sequence[str]], at_ms: int
) -> Callable[[Inbox], Inbox]:
    batch, shown = case.inbox.firing, None
    if batch and case.to_notify:
        device_ids = tuple(device.id for device in case.to_notify.devices)
        last = case.to_notify.messages[-1]
        shown = Shown(batch.id, last.seq, last.id, device_ids)
    elif batch and batch.id in notified_before:
        shown = Shown(batch.id, batch.last.seq, batch.last.id, tuple(notified_before[batch.id]))
    return partial(
        Inbox.settle,
        claim_id=case.inbox.claim_id,
        batch_id=batch.id if batch else "",
        shown=shown,
        cleared_id=case.clearing.batch_id if case.clearing else "",
        read_seq=case.attention.read_seq,
        at_ms=at_ms,
    )


def _may_stay_unread(case: _Case) -> bool:
    if case.verdict is None or not case.person.wants_digests:
        return False
    return case.to_notify is not None or any(
        reason in MAY_STAY_UNREAD for reason, _ in case.verdict.suppressed
    )


def _count(cases: Sequence[_Case]) -> None:
    for case in cases:
        if case.to_notify:
            DECISIONS.labels(_NOTIFIED).inc(len(case.to_notify.messages))
        for reason, messages in case.verdict.suppressed if case.verdict else ():
            DECISIONS.labels(reason.value).inc(len(messages))
