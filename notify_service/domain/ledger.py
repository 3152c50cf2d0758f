"""What was decided and tried: entries that are written once and never changed."""

import hashlib
from dataclasses import dataclass
from enum import Enum

from contract.text import cut
from notify_service.domain.delivery import Attempt, AttemptOutcome
from notify_service.domain.device import DeviceKind

MAX_DETAIL = 500
"""Code points."""
MAX_MESSAGES = 100
"""Messages that one entry names: the last ones it is about."""


def cut_detail(detail: str) -> str:
    """As much of what somebody said as an entry holds."""
    return cut(detail, MAX_DETAIL, code_points=MAX_DETAIL)


class Outcome(Enum):
    """What became of a notification."""

    PENDING = "pending"
    SENT = "sent"
    SUPPRESSED = "suppressed"
    DELAYED = "delayed"
    FAILED = "failed"
    PRUNED = "pruned"
    CLEARED = "cleared"
    """What was shown is taken away; the detail is the reason, the message the last one that was shown."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One decision, or one attempt."""

    id: str
    """24 lower-case hex digits, the same when the same entry is written again: see `entry_id`."""
    user_ids: tuple[str, ...]
    """Whom it is about: one decision may hold for a page of members."""
    message_ids: tuple[str, ...]
    chat_id: str
    outcome: Outcome
    detail: str
    at_ms: int
    device_id: str = ""
    """Empty for decisions."""
    kind: DeviceKind | None = None
    """None for decisions."""
    attempt: int = 0
    """0 for decisions."""


def entry_id(at_ms: int, *parts: str) -> str:
    """An id that is the same for the same parts and second, and that grows with time like any ObjectId.

    A repeat must pass the time at which the first try was made, say the creation of what it is about.
    """
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{at_ms // 1000:08x}{digest[:16]}"


_ATTEMPT_OUTCOMES = {
    AttemptOutcome.SENT: Outcome.SENT,
    AttemptOutcome.DELAYED: Outcome.DELAYED,
    AttemptOutcome.FAILED: Outcome.FAILED,
    AttemptOutcome.GONE: Outcome.PRUNED,
    AttemptOutcome.DROPPED: Outcome.SUPPRESSED,
}


def attempt_entry(attempt: Attempt, kind: DeviceKind) -> LedgerEntry:
    """The entry for one attempt at a device of a user. The same attempt always gives the same entry."""
    delivery, what = attempt.delivery, attempt.delivery.what
    return LedgerEntry(
        id=entry_id(attempt.at_ms, delivery.id, str(delivery.attempt), attempt.outcome.value),
        user_ids=(what.user_id,),
        message_ids=what.message_ids[-MAX_MESSAGES:],
        chat_id=what.chat_id,
        outcome=_ATTEMPT_OUTCOMES[attempt.outcome],
        detail=cut_detail(attempt.detail),
        at_ms=attempt.at_ms,
        device_id=what.target_id,
        kind=kind,
        attempt=delivery.attempt,
    )
