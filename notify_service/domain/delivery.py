"""What is on its way to somebody, and what became of each attempt."""

from dataclasses import dataclass
from enum import Enum


class Lane(Enum):
    """Who carries a delivery: each lane has a handler of its own."""

    DEVICE = "device"
    """A `Push` for a device, through the sender of its kind; e-mail has a lane of its own."""
    EMAIL = "email"
    """A mail."""
    HOOK = "hook"
    """An event for an integrator's subscription."""


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """Something to be delivered once."""

    key: str
    """What makes it one and the same, up to 200 characters: a second one with this key is left out."""
    lane: Lane
    provider: str
    """Who is asked, such as `fcm` or `web-push:push.example`: rate, slots and breaker are per provider.

    What comes before the colon is of a small set, for metrics; for a push it is the kind of the device.
    """
    target_id: str
    """The device or the subscription."""
    payload: bytes
    """What the lane's handler made of the content and will read again; forgotten when it is settled."""
    created_at_ms: int
    expires_at_ms: int
    """No attempt begins after this: then it is given up."""
    user_id: str = ""
    chat_id: str = ""
    message_ids: tuple[str, ...] = ()
    traceparent: str = ""
    """The trace that it is a part of; empty unless that is recorded."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery that this process holds, for one attempt."""

    id: str
    """24 lower-case hex digits."""
    attempt: int
    """Counts attempts from 1; one that was cut off counts too."""
    what: NewDelivery
    last_detail: str = ""
    """What the provider said to the attempt before."""


class AttemptOutcome(Enum):
    """How an attempt ended."""

    SENT = "sent"
    DELAYED = "delayed"
    """It did not succeed and there will be another."""
    FAILED = "failed"
    """It was given up: refused, or its time is over."""
    GONE = "gone"
    """The provider said that the target is no more."""
    DROPPED = "dropped"
    """It is not wanted any more; the provider was not asked."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that ended."""

    delivery: Delivery
    outcome: AttemptOutcome
    detail: str
    """What the provider said, up to `ledger.MAX_DETAIL` characters."""
    at_ms: int
    next_at_ms: int = 0
    """When the next attempt is due; 0 unless it is `DELAYED`."""


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A delivery as it is looked up, on its way or settled."""

    id: str
    attempts: int
    what: NewDelivery
    """Its payload is empty once the content is forgotten."""
    outcome: AttemptOutcome | None
    """What became of it; None while it is on its way."""
    last_detail: str
    at_ms: int
    """When the next attempt is due, or when it was settled."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in one lane."""

    waiting: int
    """Deliveries on their way, counted up to a limit."""
    oldest_created_at_ms: int
    """When the oldest of them was made; 0 when none waits."""
