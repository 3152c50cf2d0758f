"""Who is not there is told of everything, and twice only when notify_service died in between."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from chaos.evidence import Evidence, Notified, Violation

_IN_HAND: Final = 64
"""Pushes that one death of notify_service may leave in doubt: those under way (16 at a provider), and those
that ended and were not written down yet (notify_service/delivery/engine.py)."""
_TWICE: Final = 2


def the_absent_are_told(evidence: Evidence) -> Iterator[Violation]:
    """Each message of their chats belongs to a push that was sent, and each such push was shown."""
    told = {
        (entry.user_id, message)
        for entry in evidence.stores.ledger
        if entry.outcome == "sent" or entry.detail == "collapsed"
        for message in entry.message_ids
    }
    for slot in _due(evidence):
        if slot not in told:
            yield Violation("notification lost", f"{slot[0]} was not told of {slot[1]}")
    for push in _pushes(evidence):
        if not evidence.stores.shown[push.user_id, push.message_ids[-1]]:
            yield Violation("notification lost", f"{push} is in the ledger, it was never shown")


def nobody_is_told_too_often(evidence: Evidence) -> Iterator[Violation]:
    """No push more than twice, and twice only for what a death of notify_service left in doubt."""
    doubt = evidence.faults("kill", "notify") * _IN_HAND
    doubled = {slot: count for slot, count in evidence.stores.shown.items() if count > 1}
    for slot, count in doubled.items():
        if count > _TWICE:
            yield Violation("notification repeated", f"{slot} was shown {count} times")
    if len(doubled) > doubt:
        yield Violation("notification doubled", f"{len(doubled)} were shown twice, {doubt} may be")
    again = sum(count - 1 for count in Counter(_pushes(evidence)).values())
    if again > doubt:
        yield Violation("ledger doubled", f"{again} pushes are there again, {doubt} may be")


def a_message_is_in_one_push(evidence: Evidence) -> Iterator[Violation]:
    """What was told together with others is not told again with the next ones."""
    pushes: defaultdict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    for push in _pushes(evidence):
        for message in push.message_ids:
            pushes[push.user_id, message].add(push.message_ids)
    for slot, several in pushes.items():
        if len(several) > 1:
            yield Violation("told twice", f"{slot} is in {len(several)} pushes")


def _pushes(evidence: Evidence) -> Iterator[Notified]:
    return (entry for entry in evidence.stores.ledger if entry.outcome == "sent" and entry.message_ids)


def _due(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for chat, lines in evidence.stores.messages.items():
        for user in evidence.absent:
            if user in evidence.stores.members.get(chat, ()):
                yield from ((user, line.message_id) for line in lines if line.sender_id != user)
