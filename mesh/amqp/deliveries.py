"""What a handler receives and answers, and the headers that carry the history of a message."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aio_pika.abc import AbstractIncomingMessage
from pamqp.common import FieldValue

from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import RetryTier, dead_queue
from mesh.clock import now_ms, to_rfc3339

ATTEMPT_HEADER: Final = "x-parley-attempt"
"""Attempts made so far; absent on a message that was not tried yet."""
REASON_HEADER: Final = "x-parley-reason"
FIRST_FAILED_HEADER: Final = "x-parley-first-failed-at"
QUEUE_HEADER: Final = "x-parley-queue"

_REASON_LIMIT: Final = 500  # characters


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message in the hands of a consumer. ``attempt`` counts from 1."""

    body: bytes
    headers: Mapping[str, FieldValue]
    attempt: int
    message_id: str
    redelivered: bool


@dataclass(frozen=True, slots=True)
class Ack:
    """Done; the message is gone."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Failed this time. Comes back after the next tier's delay, or dead-letters after the last tier."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Will never succeed; dead-letters at once."""

    reason: str


@dataclass(frozen=True, slots=True)
class Park:
    """Not tried: something it needs is down for long. Comes back after the longest delay, uncounted."""

    reason: str


Outcome = Ack | Retry | Dead
Handler = Callable[[Sequence[Delivery]], Awaitable[Sequence[Outcome]]]
"""Handles a batch and gives one outcome per delivery, in the same order. Must be idempotent: deliveries
repeat.

May raise ``Unavailable`` when something that the whole batch needs is down: the batch is held and tried
again, and no attempt is counted. Any other exception is a defect: each delivery is then tried alone, and the
one that raises alone is retried and finally dead-lettered, so that a poison message does not take its
neighbours along.
"""


def to_delivery(message: AbstractIncomingMessage) -> Delivery:
    """The delivery of a broker message."""
    made = message.headers.get(ATTEMPT_HEADER, 0)
    return Delivery(
        body=message.body,
        headers=message.headers,
        attempt=made + 1 if isinstance(made, int) else 1,
        message_id=message.message_id or "",
        redelivered=bool(message.redelivered),
    )


def next_stop(
    delivery: Delivery, outcome: Retry | Dead | Park, queue: str, tiers: Sequence[RetryTier]
) -> Outgoing:
    """Where a failed delivery goes next, with its history in the headers."""
    counted = delivery.attempt - 1 if isinstance(outcome, Park) else delivery.attempt
    headers: dict[str, FieldValue] = {
        # The broker's own history (x-death …) would make it see a cycle and drop the message.
        name: value
        for name, value in delivery.headers.items()
        if not name.startswith("x-") or name.startswith("x-parley-")
    }
    headers[ATTEMPT_HEADER] = counted
    headers[REASON_HEADER] = outcome.reason[:_REASON_LIMIT]
    headers.setdefault(FIRST_FAILED_HEADER, to_rfc3339(now_ms()))
    headers[QUEUE_HEADER] = queue
    tier = _tier(outcome, delivery.attempt, tiers)
    return Outgoing(
        routing_key=queue if tier else dead_queue(queue),
        exchange=tier.name if tier else "",
        body=delivery.body,
        headers=headers,
        message_id=delivery.message_id,
    )


def _tier(outcome: Retry | Dead | Park, attempt: int, tiers: Sequence[RetryTier]) -> RetryTier | None:
    match outcome:
        case Park():
            return tiers[-1]
        case Retry() if attempt <= len(tiers):
            return tiers[attempt - 1]
        case _:
            return None
