"""Users who were not notified because they were active, and what became of that. Pure.

One document per user stands for all messages that were suppressed: which ones they were is in the ledger.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from notify_service.domain.decision import Policy, Reason
from notify_service.domain.ledger import LedgerEntry

REMEMBERED: Final = 100_000
"""Users whom one process knows to be noted: some 20 MB. Who is forgotten costs one more write."""


class Finding(Enum):
    """What became of somebody's activity; the value is the metric's label."""

    SEEN = "seen"
    """The user did something after the last suppressed message."""
    ACTIVE = "active"
    """Still taken for active, and nothing was done since: it is too early to say."""
    OVER = "over"
    """The user is offline or idle: what came after the last activity was not seen."""


@dataclass(frozen=True, slots=True)
class ActiveUser:
    """A user who was taken for active, and whom this process holds."""

    user_id: str
    active_at_ms: int
    """The user's last activity, as far as it was noted."""
    until_ms: int
    """Messages that were suppressed up to this time may be noted nowhere but in the ledger."""
    due_at_ms: int
    claim: str
    """Names the holding."""


def consider(user: ActiveUser, last_active_ms: int, at_ms: int, policy: Policy) -> Finding:
    """By the time of the user's last activity, which is 0 without a live connection."""
    if not policy.active(last_active_ms, at_ms):
        return Finding.OVER
    return Finding.SEEN if last_active_ms > user.until_ms else Finding.ACTIVE


def taken_for_active(newest_first: Iterable[LedgerEntry]) -> Mapping[str, Collection[str]]:
    """Messages by their chats of which the last word of one user's ledger is `active`."""
    decided: set[str] = set()
    found: dict[str, set[str]] = {}
    for entry in newest_first:
        if entry.detail == Reason.ACTIVE.value:
            found.setdefault(entry.chat_id, set()).update(set(entry.message_ids) - decided)
        decided.update(entry.message_ids)
    return {chat_id: message_ids for chat_id, message_ids in found.items() if message_ids}


class NotedUsers:
    """Knows who is noted already, so that a chat that never rests costs no write per message and member."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._until: OrderedDict[str, int] = OrderedDict()

    def unknown(self, user_ids: Iterable[str], at_ms: int) -> set[str]:
        """Those who are to be noted now."""
        return {user_id for user_id in user_ids if self._until.get(user_id, 0) <= at_ms}

    def remember(self, user_ids: Iterable[str], until_ms: int) -> None:
        """These were noted, which is good until then."""
        for user_id in user_ids:
            self._until[user_id] = until_ms
            self._until.move_to_end(user_id)
        while len(self._until) > self._limit:
            self._until.popitem(last=False)
