"""Who is not there is told, once, or at most twice when notify_service died in between."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from chaos.evidence import Evidence, Violation

_AT_ONCE: Final = 64
"""Entries that one death of notify_service may leave in doubt (notify_service/use_cases/notify_users.py)."""
_TWICE: Final = 2


def the_absent_are_told(evidence: Evidence) -> Iterator[Violation]:
    """Each message of their chats has one entry of the ledger, and was shown."""
    entries = Counter((entry.user_id, entry.message_id) for entry in evidence.stores.ledger)
    pending = {
        (entry.user_id, entry.message_id) for entry in evidence.stores.ledger if entry.outcome == "pending"
    }
    for slot in _due(evidence):
        if not entries[slot]:
            yield Violation("notification lost", f"{slot[0]} was not told of {slot[1]}")
        elif slot not in pending and not evidence.stores.shown[slot]:
            yield Violation("notification lost", f"{slot[0]} has {slot[1]} in the ledger, it was never shown")
    for slot, count in entries.items():
        if count > 1:
            yield Violation("ledger doubled", f"{slot} is there {count} times")
    if len(pending) > _doubt(evidence):
        yield Violation("notification stuck", f"{len(pending)} are pending, {_doubt(evidence)} may be")


def nobody_is_told_too_often(evidence: Evidence) -> Iterator[Violation]:
    """No more than twice, and twice only for what a death of notify_service left in doubt."""
    doubled = {slot: count for slot, count in evidence.stores.shown.items() if count > 1}
    for slot, count in doubled.items():
        if count > _TWICE:
            yield Violation("notification repeated", f"{slot} was shown {count} times")
    if len(doubled) > _doubt(evidence):
        yield Violation("notification doubled", f"{len(doubled)} were shown twice, {_doubt(evidence)} may be")


def _doubt(evidence: Evidence) -> int:
    return evidence.faults("kill", "notify") * _AT_ONCE


def _due(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for chat, lines in evidence.stores.messages.items():
        for user in evidence.absent:
            if user in evidence.stores.members.get(chat, ()):
                yield from ((user, line.message_id) for line in lines if line.sender_id != user)
