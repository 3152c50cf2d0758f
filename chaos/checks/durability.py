"""Acked means durable, and stored once."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from chaos.evidence import Evidence, Violation
from chaos.records import Acked, Dropped, Refused, Sent


def acked_is_stored(evidence: Evidence) -> Iterator[Violation]:
    """A message that was acked is in the store, under the id and at the position of the ack."""
    by_key = {
        (chat, line.sender_id, line.key): line
        for chat, lines in evidence.stores.messages.items()
        for line in lines
    }
    for ack in evidence.of(Acked):
        found = evidence.stores.by_id.get(ack.message_id)
        if found is None:
            other = by_key.get((ack.chat_id, ack.user_id, ack.key))
            instead = f"; the store has this key as {other.message_id} at {other.seq}" if other else " at all"
            yield Violation("lost", f"{ack.key} acked as {ack.message_id} at {ack.seq}, not stored{instead}")
            continue
        chat, line = found
        if (chat, line.seq, line.number) != (ack.chat_id, ack.seq, ack.number):
            yield Violation("misplaced", f"{ack.key} acked at {ack.seq}, stored at {line.seq}")


def one_answer_per_key(evidence: Evidence) -> Iterator[Violation]:
    """All acks under one key name the same message."""
    answers: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for ack in evidence.of(Acked):
        answers[ack.chat_id, ack.user_id, ack.key].add(ack.message_id)
    for (_, _, key), ids in answers.items():
        if len(ids) > 1:
            yield Violation("two answers", f"{key} was acked as {sorted(ids)}")


def stored_once(evidence: Evidence) -> Iterator[Violation]:
    """No position is taken twice, and no key is stored twice."""
    for chat, lines in evidence.stores.messages.items():
        changes = evidence.stores.changes.get(chat, ())
        positions = Counter([line.seq for line in lines] + [change.seq for change in changes])
        keys = Counter((line.sender_id, line.key) for line in lines)
        for what, count in [*positions.items(), *keys.items()]:
            if count > 1:
                yield Violation("stored twice", f"chat {chat}: {what} is there {count} times")


def every_send_has_an_answer(evidence: Evidence) -> Iterator[Violation]:
    """When all is well again, each send is acked in the end, or refused for good."""
    ended = {(record.chat_id, record.key) for record in evidence.of(Acked)}
    ended |= {(record.chat_id, record.key) for record in evidence.of(Dropped)}
    for key in sorted({sent.key for sent in evidence.of(Sent) if (sent.chat_id, sent.key) not in ended}):
        yield Violation("no answer", f"{key} was never answered")


def nothing_is_refused_for_good_by_a_fault(evidence: Evidence) -> Iterator[Violation]:
    """Whoever gives a message up was told that the chat is not theirs: an outage is no reason to."""
    told: dict[str, str] = {}
    for record in evidence.records:
        if isinstance(record, Refused):
            told[record.client] = record.code
        elif isinstance(record, Dropped) and told.get(record.client) != "NOT_A_MEMBER":
            yield Violation("given up", f"{record.key} after {told.get(record.client, 'nothing')}")


def something_happened(evidence: Evidence) -> Iterator[Violation]:
    """A run in which nothing was acked shows nothing."""
    if not evidence.acked_ids:
        yield Violation("no load", "not one message was acked")
