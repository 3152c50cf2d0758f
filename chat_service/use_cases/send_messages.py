"""Accepting messages: the batched send path of docs/architecture.md."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

from chat_service.domain import events, rules
from chat_service.domain.model import Membership, Role, Send
from chat_service.metrics import SEND_STAGE_SECONDS, SENDS
from chat_service.ports.broker import Broker
from chat_service.ports.log import ChatLog, LogEntry, Outbox, Refusal, Taken
from chat_service.ports.members import Pair
from chat_service.ports.rates import RateLimiter
from chat_service.ports.store import Store
from chat_service.use_cases.membership_lookup import MembershipLookup
from chat_service.use_cases.read_pointers import ReadPointers
from mesh import tracing
from mesh.clock import now_ms
from mesh.errors import (
    AlreadyExists,
    ParleyError,
    ResourceExhausted,
    Unavailable,
    unavailable,
)
from mesh.logs import get_logger
from mesh.outage import Outage
from parley.chat.v1.chat_service_pb2 import SendAccepted
from parley.common.v1.error_pb2 import ErrorReason
from parley.events.v1.chat_event_pb2 import ChatEvent

RATE_ACTION = "send"

# Once per batch each; the children are looked up here, not per batch.
_CHARGING: Final = SEND_STAGE_SECONDS.labels("charge")
_MARKING: Final = SEND_STAGE_SECONDS.labels("mark")
_ACCEPTING: Final = SEND_STAGE_SECONDS.labels("accept")
_CONFIRMING: Final = SEND_STAGE_SECONDS.labels("confirm")
_CLEARING: Final = SEND_STAGE_SECONDS.labels("clear")
_CACHE_MISSES: Final = frozenset({Refusal.ROLE_UNKNOWN, Refusal.HEAD_MISSING, Refusal.DEDUPE_UNCERTAIN})
_REDIS: Final = {"db.system.name": "redis"}
_log = get_logger()


class SendMessages:
    """Gives each message its place, delivers it, hands it to the broker, and only then answers for it."""

    def __init__(
        self,
        *,
        log: ChatLog,
        outbox: Outbox,
        broker: Broker,
        store: Store,
        limiter: RateLimiter,
        lookup: MembershipLookup,
        read_pointers: ReadPointers,
        content_limit: int,
    ) -> None:
        self._log = log
        self._outbox = outbox
        self._broker = broker
        self._store = store
        self._limiter = limiter
        self._lookup = lookup
        self._read_pointers = read_pointers
        self._content_limit = content_limit
        self._not_cleared = Outage("chat.outbox_not_cleared", "chat.outbox_cleared")
        self._read_not_published = Outage("chat.read_not_published", "chat.read_published")

    async def __call__(self, sends: Sequence[Send]) -> list[SendAccepted | ParleyError]:
        """One answer per send, in order. A message that was accepted is in the log and on the broker's disk.

        Raises:
            Unavailable: Redis or RabbitMQ is down; nothing was tried, or it is not known what was done.
        """
        if not self._broker.is_up:
            # Before the log takes anything: nobody is shown a message whose sender gets an error for it.
            raise unavailable("rabbitmq")
        spans = _begin_spans(sends)
        with tracing.ending(list(spans.values())):
            answers = await self._send(sends)
            for index, span in spans.items():
                _describe(span, answers[index])
        for answer in answers.values():
            SENDS.labels(_outcome(answer)).inc()
        return [answers[index] for index in range(len(sends))]

    async def _send(self, sends: Sequence[Send]) -> dict[int, SendAccepted | ParleyError]:
        answers: dict[int, SendAccepted | ParleyError] = {}
        valid = self._check(sends, answers)
        await self._charge(valid, answers)
        if valid:
            with _MARKING.time(), _step("mark"):
                await self._outbox.mark(list({send.event.chat_id for send in valid.values()}))
            await self._accept(valid, answers)
        return answers

    def _check(
        self, sends: Sequence[Send], answers: dict[int, SendAccepted | ParleyError]
    ) -> dict[int, Send]:
        valid: dict[int, Send] = {}
        for index, send in enumerate(sends):
            try:
                rules.check_message(send.event.message, self._content_limit)
            except ParleyError as error:
                answers[index] = error
            else:
                valid[index] = send
        return valid

    async def _charge(self, sends: dict[int, Send], answers: dict[int, SendAccepted | ParleyError]) -> None:
        """Takes from ``sends`` what goes beyond the senders' rates: of each sender the last ones."""
        if not sends:
            return
        senders = {index: send.event.message.sender_id for index, send in sends.items()}
        wanted = Counter(senders.values())
        with _CHARGING.time(), _step("charge"):
            granted = await self._limiter.take(RATE_ACTION, wanted)
        seen: Counter[str] = Counter()
        for index, sender_id in senders.items():
            grant = granted[sender_id]
            place = seen[sender_id] - grant.count
            seen[sender_id] += 1
            if place >= 0:
                del sends[index]
                answers[index] = ResourceExhausted(
                    ErrorReason.ERROR_REASON_RATE_LIMITED,
                    "too many messages",
                    retry_after_ms=grant.retry_after_ms(place),
                )

    async def _accept(self, sends: dict[int, Send], answers: dict[int, SendAccepted | ParleyError]) -> None:
        with _ACCEPTING.time(), _step("accept"):
            taken = await self._take(sends, answers)
        entries = [item.entry for item in taken.values() if item.entry is not None]
        reads = [
            self._publish_read(sends[index], item.accepted)
            for index, item in taken.items()
            if item.has_read or sends[index].read_seq
        ]
        try:
            if reads:
                await asyncio.gather(*reads)
            await self._hand_over(entries)
        except Unavailable as error:
            # They are in the outbox, the sweeper hands them over. Until then nobody may call them durable.
            for index, item in taken.items():
                answers[index] = item.accepted if item.entry is None else error
        else:
            answers.update((index, item.accepted) for index, item in taken.items())

    async def _publish_read(self, send: Send, accepted: SendAccepted) -> None:
        """Tells how far the sender has read; only what differs from the message has to be made durable."""
        chat_id, user_id = accepted.chat_id, send.event.message.sender_id
        try:
            if send.read_seq:
                await self._read_pointers.advance_to(user_id, chat_id, send.read_seq)
            else:
                signal = events.read(
                    chat_id, user_id, accepted.message_id, now_ms(), seq=accepted.seq, number=accepted.number
                )
                await self._log.announce([signal])
        except Unavailable as error:
            # The message counts all the same, and whatever the user reads next moves the pointer as well.
            self._read_not_published.failed(chat_id=chat_id, dependency=error.dependency)
        else:
            self._read_not_published.worked()

    async def _take(
        self, sends: dict[int, Send], answers: dict[int, SendAccepted | ParleyError]
    ) -> dict[int, Taken]:
        """Asks the log, and again for what it could not judge before the store was asked."""
        taken: dict[int, Taken] = {}
        pending = sends
        # Three things may have to be asked for: a role, a head and, in a log that was rebuilt, earlier sends.
        for retries_left in (3, 2, 1, 0):
            outcomes = await self._log.accept(list(pending.values()))
            again: dict[int, Refusal] = {}
            for index, outcome in zip(pending, outcomes, strict=True):
                if isinstance(outcome, Taken):
                    taken[index] = outcome
                elif retries_left and outcome in _CACHE_MISSES:
                    again[index] = outcome
                else:
                    answers[index] = _error(outcome)
            if not again:
                break
            try:
                pending = await self._load({index: pending[index] for index in again}, again, answers)
            except Unavailable as error:
                answers.update(dict.fromkeys(again, error))
                break
            if not pending:
                break
        return taken

    async def _load(
        self,
        pending: dict[int, Send],
        why: dict[int, Refusal],
        answers: dict[int, SendAccepted | ParleyError],
    ) -> dict[int, Send]:
        """Asks the store for what is missing in Redis, and puts it there; the sends to offer again.

        Those of senders who turn out to be no members have their answer.
        """
        missing_roles: set[tuple[str, str]] = set()
        missing_heads: set[str] = set()
        uncertain: dict[int, Send] = {}
        for index, send in pending.items():
            message = send.event.message
            if why[index] is Refusal.ROLE_UNKNOWN:
                missing_roles.add((message.chat_id, message.sender_id))
            elif why[index] is Refusal.HEAD_MISSING:
                missing_heads.add(message.chat_id)
            else:
                uncertain[index] = send
        if missing_roles:
            found = await self._lookup.ask(list(missing_roles))
            pending = _of_members(pending, found, answers)
        if missing_heads:
            await self._log.restore_heads(await self._store.rebuild_heads(list(missing_heads)))
        if not uncertain:
            return pending
        earlier = await self._store.find_sends(list(uncertain.values()))
        await self._log.remember_sends([send for send in earlier if send is not None])
        # Also those that were found: the log looks for a first answer before it asks whether one is new.
        return pending | {index: replace(send, is_new=True) for index, send in uncertain.items()}

    async def _hand_over(self, entries: Sequence[LogEntry]) -> None:
        if not entries:
            return
        with _CONFIRMING.time():
            await self._broker.persist(entries)
        try:
            with _CLEARING.time(), _step("clear"):
                await self._outbox.clear(entries)
        except Unavailable:
            # The broker has them: they are durable. The sweeper hands them over once more, which is harmless.
            self._not_cleared.failed(entries=len(entries))
        else:
            self._not_cleared.worked()


def _of_members(
    pending: Mapping[int, Send],
    found: Mapping[Pair, Membership | ParleyError],
    answers: dict[int, SendAccepted | ParleyError],
) -> dict[int, Send]:
    """The sends whose senders were not found to be no members; ``answers`` gets those of the others."""
    kept: dict[int, Send] = {}
    for index, send in pending.items():
        message = send.event.message
        item = found.get((message.chat_id, message.sender_id))
        if isinstance(item, ParleyError):
            answers[index] = item
        elif item is not None and item.role is Role.NONE:
            answers[index] = rules.not_a_member()
        else:
            kept[index] = send
    return kept


def _begin_spans(sends: Sequence[Send]) -> dict[int, tracing.Span]:
    """A span for each message whose trace is recorded, by its place. Its event names that span, or none."""
    spans: dict[int, tracing.Span] = {}
    for index, event in enumerate(send.event for send in sends):
        if event.traceparent:
            span = _begin_span(event)
            event.traceparent = "" if span is None else span.traceparent
            if span is not None:
                spans[index] = span
    return spans


def _begin_span(event: ChatEvent) -> tracing.Span | None:
    attributes = {"parley.chat_id": event.chat_id}
    return tracing.follow("accept message", event.traceparent, attributes=attributes)


def _describe(span: tracing.Span, answer: SendAccepted | ParleyError) -> None:
    if isinstance(answer, ParleyError):
        span.fail(answer)
        return
    span.set("parley.message_id", answer.message_id)
    span.set("parley.seq", answer.seq)


def _step(stage: str) -> AbstractContextManager[object]:
    return tracing.child(f"redis {stage}", kind=tracing.Kind.CLIENT, attributes=_REDIS)


def _error(refusal: Refusal) -> ParleyError:
    match refusal:
        case Refusal.NOT_A_MEMBER:
            return rules.not_a_member()
        case Refusal.CONFLICT:
            return AlreadyExists(
                ErrorReason.ERROR_REASON_DUPLICATE_CONFLICT,
                "this clientMsgId was accepted with other content",
            )
        case Refusal.FAILED:
            # Redis may have run any part of the script: only a repeat, which is safe, can tell.
            return unavailable("redis", "it is not known whether the message was taken")
        case Refusal.ROLE_UNKNOWN | Refusal.HEAD_MISSING:
            # The store knows no such chat, or forgot what was put there a moment ago.
            return rules.not_a_member()
        case Refusal.DEDUPE_UNCERTAIN:
            return unavailable("redis", "the chat's log was lost and is being rebuilt")
        case Refusal.MOVING:
            return unavailable("redis", "the chat's log is being moved")


def _outcome(answer: SendAccepted | ParleyError) -> str:
    if isinstance(answer, ParleyError):
        return answer.code
    return "duplicate" if answer.duplicate else "accepted"
