"""What became of an event on its way to one subscription, as operators see it. Pure."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from notify_service.domain.delivery import AttemptOutcome, StoredDelivery
from notify_service.webhooks.subscription import HookKey


class HookOutcome(Enum):
    """What became of it."""

    PENDING = "pending"
    """It waits for its first or next attempt."""
    SENT = "sent"
    FAILED = "failed"
    """It was given up, for whatever reason; it can be replayed."""


_OUTCOMES: Final = {
    None: HookOutcome.PENDING,
    AttemptOutcome.SENT: HookOutcome.SENT,
    AttemptOutcome.FAILED: HookOutcome.FAILED,
    AttemptOutcome.GONE: HookOutcome.FAILED,
    AttemptOutcome.DROPPED: HookOutcome.FAILED,
}
STORED_AS: Final = {
    HookOutcome.SENT: (AttemptOutcome.SENT,),
    HookOutcome.FAILED: (AttemptOutcome.FAILED, AttemptOutcome.GONE, AttemptOutcome.DROPPED),
}
"""How the store calls what is settled."""


@dataclass(frozen=True, slots=True)
class HookDelivery:
    """One event for one subscription."""

    id: str
    """The `webhook-id` of its requests."""
    key: HookKey
    outcome: HookOutcome
    detail: str
    """The receiver's last answer."""
    attempts: int
    created_at_ms: int
    at_ms: int
    """When the next attempt is due, or when it was settled."""


def shown(stored: StoredDelivery) -> HookDelivery:
    """A stored delivery of the lane `HOOK`."""
    return HookDelivery(
        id=stored.id,
        key=HookKey.parse(stored.what.key),
        outcome=_OUTCOMES[stored.outcome],
        detail=stored.last_detail,
        attempts=stored.attempts,
        created_at_ms=stored.what.created_at_ms,
        at_ms=stored.at_ms,
    )
