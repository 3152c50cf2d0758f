"""Why a person was told of a message, or was not."""

from dataclasses import dataclass

from notify_service.domain.device import Device
from notify_service.domain.ledger import LedgerEntry, Outcome
from notify_service.domain.preferences import Preferences


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer, and what it is drawn from."""

    outcome: Outcome | None
    """None when there is no trace."""
    summary: str
    """One sentence in English."""
    entries: tuple[LedgerEntry, ...]
    """The oldest first."""
    devices: tuple[Device, ...]
    preferences: Preferences
