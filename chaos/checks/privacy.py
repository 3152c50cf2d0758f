"""Nobody sees what is not theirs."""

import bisect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from chaos.evidence import Evidence, Violation
from chaos.records import Away, MembershipAsked, MembershipDone, Saw

_ENFORCED_SECONDS: Final = 1.0
"""A removal holds on all edges that soon after it was answered."""
_TO_ONE_USER: Final = frozenset({"member-removed", "chat-created"})


@dataclass(slots=True)
class _History:
    """What was asked about one user in one chat, and what became of it, in the order of time."""

    times: list[float] = field(default_factory=list)
    adds: list[bool] = field(default_factory=list)

    def note(self, at: float, *, adds: bool) -> None:
        self.times.append(at)
        self.adds.append(adds)

    def removed_for(self, at: float) -> float:
        """For how long the user is out at that time: 0 unless the last thing was a removal that was done."""
        place = bisect.bisect_right(self.times, at) - 1
        return at - self.times[place] if place >= 0 and not self.adds[place] else 0.0


def only_members_see(evidence: Evidence) -> Iterator[Violation]:
    """A frame of a chat comes to members alone: by who was ever one, by the log, and by the clock."""
    histories: defaultdict[tuple[str, str], _History] = defaultdict(_History)
    for record in evidence.records:
        # An add counts from when it was asked for, a removal from when it was done: between, both are right.
        if isinstance(record, MembershipAsked if getattr(record, "adds", False) else MembershipDone):
            histories[record.chat_id, record.member_id].note(record.at, adds=record.adds)
    ever = _ever_members(evidence)
    removals = _removals(evidence)
    for saw in evidence.of(Saw):
        who = (saw.chat_id, saw.user_id)
        if not saw.chat_id or saw.event in _TO_ONE_USER:
            continue
        if who not in ever and who not in histories:
            yield Violation(
                "foreign", f"{saw.user_id} saw {saw.event} of {saw.chat_id}, never a member of it"
            )
        # What has no place in the log is judged by the clock. An entry is not: one from before the removal
        # may come late, from an edge that was frozen.
        elif not saw.epoch:
            if who in histories and histories[who].removed_for(saw.at) > _ENFORCED_SECONDS:
                yield Violation(
                    "foreign", f"{saw.user_id} saw {saw.event} of {saw.chat_id} after the removal"
                )
        # Between being stored and being in the log an add holds already: then it was asked for.
        elif (
            any(low < saw.seq < high for low, high in removals.get(who, ()))
            and histories[who].removed_for(saw.at) > 0
        ):
            yield Violation("foreign", f"{saw.user_id} saw {saw.seq} of {saw.chat_id}, out at that time")


def away_means_away(evidence: Evidence) -> Iterator[Violation]:
    """Between the ack of `leave-chats` and the next `join-chats` no frame of the chat comes."""
    away: set[tuple[str, int, str]] = set()
    for record in evidence.records:
        if isinstance(record, Away):
            place = (record.client, record.connection, record.chat_id)
            (away.add if record.away else away.discard)(place)
        elif (
            isinstance(record, Saw)
            and record.event not in _TO_ONE_USER
            and (record.client, record.connection, record.chat_id) in away
        ):
            yield Violation("not left", f"{record.client} saw {record.event} of {record.chat_id}")


def _ever_members(evidence: Evidence) -> set[tuple[str, str]]:
    stores = evidence.stores
    found = {(chat, user) for chat, users in stores.members.items() for user in users}
    for chat, changes in stores.changes.items():
        for change in changes:
            found |= {(chat, user) for user in (*change.added, change.removed)}
    return found


def _removals(evidence: Evidence) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """From each removal of a user in the log to the next add, which may never come."""
    spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for chat, changes in evidence.stores.changes.items():
        for change in sorted(changes, key=lambda change: change.seq):
            if change.removed:
                spans.setdefault((chat, change.removed), []).append((change.seq, 2**63))
            for user in change.added:
                if of_user := spans.get((chat, user)):
                    of_user[-1] = (of_user[-1][0], min(change.seq, of_user[-1][1]))
    return spans
