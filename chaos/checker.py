"""All checks together, and the figures that are told with their verdict."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chaos.checks import durability, membership, notifications, order, privacy, reads
from chaos.evidence import Evidence, Violation
from chaos.records import Acked, CaughtUp, FaultBegan, FaultEnded, Refused, Saw, Sent

Check = Callable[[Evidence], Iterator[Violation]]

#: What must become true of the stores some time after the load ended.
STORE_CHECKS: Final[Sequence[Check]] = (
    durability.acked_is_stored,
    durability.stored_once,
    order.log_is_dense,
    order.seen_is_stored,
    reads.acked_reads_are_stored,
    membership.changes_are_stored_and_logged,
    notifications.the_absent_are_told,
)
CHECKS: Final[Sequence[Check]] = (
    *STORE_CHECKS,
    durability.something_happened,
    durability.one_answer_per_key,
    durability.every_send_has_an_answer,
    durability.nothing_is_refused_for_good_by_a_fault,
    order.live_in_order,
    order.views_are_the_log,
    privacy.only_members_see,
    privacy.away_means_away,
    reads.receipts_are_monotonic,
    notifications.nobody_is_told_too_often,
    notifications.a_message_is_in_one_push,
)


def check(evidence: Evidence, checks: Sequence[Check] = CHECKS) -> list[Violation]:
    """Every violation that the evidence shows."""
    return [violation for each in checks for violation in each(evidence)]


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened, in numbers."""

    acked: int
    stored: int
    delivered: int
    """Messages times the devices that have them, live or fetched."""
    duplicated: int
    """Stored or delivered twice."""
    lost: int
    """Acked but not stored."""
    gaps: int
    """Logs with a hole, and devices whose view of a chat differs from the store."""
    repeated_sends: int
    refused: int
    """Frames answered with an error, or with nothing."""
    catch_ups: Mapping[str, int]
    """How often clients had missed something, by why."""
    reloads: int
    """How often the log could not tell, so that the history was loaded."""


def figures(evidence: Evidence, violations: Sequence[Violation]) -> Figures:
    """Counts."""

    def violated(*rules: str) -> int:
        return sum(violation.rule in rules for violation in violations)

    delivered = {(saw.client, saw.message_id) for saw in evidence.of(Saw) if saw.event == "new-message"} | {
        (client, line.message_id)
        for client, view in evidence.views.items()
        for lines in view.chats.values()
        for line in lines
    }
    catch_ups: dict[str, int] = {}
    for record in evidence.of(CaughtUp):
        if record.found:
            catch_ups[record.why] = catch_ups.get(record.why, 0) + 1
    return Figures(
        acked=len(evidence.acked_ids),
        stored=len(evidence.stores.by_id),
        delivered=len(delivered),
        duplicated=violated("stored twice", "delivered twice"),
        lost=violated("lost"),
        gaps=violated("gap", "view differs"),
        repeated_sends=sum(sent.attempt > 1 for sent in evidence.of(Sent)),
        refused=sum(1 for _ in evidence.of(Refused)),
        catch_ups=catch_ups,
        reloads=sum(record.reloaded for record in evidence.of(CaughtUp)),
    )


@dataclass(frozen=True, slots=True)
class Recovery:
    """One fault: how long it lasted, and how long after its end the last message that it caught was acked."""

    number: int
    text: str
    lasted: float
    took: float
    caught: int
    """Messages that were sent before its end and acked after it."""


def recoveries(evidence: Evidence) -> list[Recovery]:
    """All faults that ended, in order. Where faults overlap, each is charged with the same messages."""
    ended = {record.number: record.at for record in evidence.of(FaultEnded)}
    sent: dict[tuple[str, str], float] = {}
    waits: list[tuple[float, float]] = []
    for record in evidence.records:
        if isinstance(record, Sent):
            sent.setdefault((record.chat_id, record.key), record.at)
        elif isinstance(record, Acked):
            waits.append((sent.pop((record.chat_id, record.key), record.at), record.at))
    found: list[Recovery] = []
    for fault in evidence.of(FaultBegan):
        if fault.number not in ended:
            continue
        end = ended[fault.number]
        after = [acked - end for began, acked in waits if began < end < acked]
        found.append(Recovery(fault.number, fault.text, end - fault.at, max(after, default=0.0), len(after)))
    return found
