"""What was decided and tried.

Sending to a device and writing down that it was sent cannot be one atomic step, so each send is *claimed* in
the ledger first. The claim holds a lease:

* A second delivery of the same job finds the claim. With an outcome there is nothing left to do; with a live
  lease somebody is at it, and the job comes back later.
* A lease that ran out without an outcome means that its holder died between the claim and the outcome. Nobody
  knows whether the provider got the notification, so it is taken over and sent again: rather one duplicate
  than a message that nobody hears of. It is taken over once (`MAX_CLAIMS`): a job that kills its process each
  time ends as `failed`, and no crash can ever cause more than one duplicate.
"""

from dataclasses import dataclass
from enum import Enum

MAX_CLAIMS = 2
LEASE_MS = 60_000
"""Longer by far than a send may take (10 s), and shorter than a job waits in its retries."""
MAX_DETAIL = 500
INTERRUPTED = "the service died twice while it was sending"


class Outcome(Enum):
    """What became of a notification."""

    PENDING = "pending"
    SENT = "sent"
    SUPPRESSED = "suppressed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Slot:
    """What makes an entry one and the same: a second one with these three is refused by the ledger."""

    user_id: str
    message_id: str
    device_id: str
    """Empty where it was decided not to send."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One decision or attempt."""

    id: str
    slot: Slot
    chat_id: str
    outcome: Outcome
    detail: str
    at_ms: int
    """When the outcome was known, or when the send was claimed."""


class Claim(Enum):
    """The ledger's answer to who wants to send."""

    GRANTED = "granted"
    """Send now, and record the outcome before the lease runs out."""
    SETTLED = "settled"
    """The outcome is known: nothing to do."""
    HELD = "held"
    """Somebody else is sending it right now: ask again when the lease is over."""
