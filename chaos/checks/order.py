"""One ordered log per chat, without gaps, and every client has the same."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from chaos.evidence import Change, ClientView, Evidence, Violation
from chaos.records import Resuming, Saw
from chaos.view import Line

# A log that was rebuilt goes on 2**20 positions further; no chat of a run has half as many entries.
_NEW_EPOCH: Final = 2**19
_EXAMPLES: Final = 3


def live_in_order(evidence: Evidence) -> Iterator[Violation]:
    """On one connection the entries of a chat come in order, each once.

    A client that resumes asks for what follows its cursor, which it may have in part: each time the order may
    begin again there, once.
    """
    last: dict[tuple[str, int, str], tuple[int, int]] = {}
    asked: dict[tuple[str, int, str], tuple[int, int]] = {}
    for saw in evidence.records:
        if isinstance(saw, Resuming):
            asked[saw.client, saw.connection, saw.chat_id] = (saw.epoch, saw.seq)
            continue
        if not isinstance(saw, Saw) or not saw.seq or not saw.epoch:
            continue  # no entry of the log
        room, position = (saw.client, saw.connection, saw.chat_id), (saw.epoch, saw.seq)
        if position <= last.get(room, (0, 0)):
            if room in asked and position > asked.pop(room):
                last[room] = position
                continue
            yield Violation(
                "out of order" if position < last[room] else "delivered twice",
                f"{saw.client} got {saw.event} {position} of {saw.chat_id} after {last[room]}",
            )
        last[room] = max(position, last.get(room, (0, 0)))


def log_is_dense(evidence: Evidence) -> Iterator[Violation]:
    """Within an epoch no position is missing, and messages are numbered without a hole.

    Exempt is the end of an epoch that a lost Redis cut off: what was in its outbox alone was acked to nobody.
    """
    for chat, lines in evidence.stores.messages.items():
        positions = sorted(
            [line.seq for line in lines] + [change.seq for change in evidence.stores.changes.get(chat, ())]
        )
        epochs = list(_epochs(positions))
        for place, epoch in enumerate(epochs):
            # Where a rebuilt log begins is not known; it may be all that a chat has.
            rebuilt = evidence.redis_was_lost and epoch[0] > _NEW_EPOCH
            holes = sorted(set(range(epoch[0] if rebuilt else 1, epoch[-1])) - set(epoch))
            if holes and not (evidence.redis_was_lost and place < len(epochs) - 1):
                yield Violation("gap", f"chat {chat} lacks {_some(holes)} of {epoch[0]}..{epoch[-1]}")
        if len(epochs) == 1 and [line.number for line in lines] != list(range(1, len(lines) + 1)):
            yield Violation(
                "misnumbered", f"chat {chat}: the numbers of its messages are not 1..{len(lines)}"
            )


def views_are_the_log(evidence: Evidence) -> Iterator[Violation]:
    """Each client that caught up has exactly the chats of its user, and in them what the store has."""
    for client, view in evidence.views.items():
        mine = {chat for chat, members in evidence.stores.members.items() if view.user_id in members}
        for chat in sorted(mine ^ view.chats.keys()):
            verb = "lacks" if chat in mine else "still has"
            yield Violation("wrong chats", f"{client} {verb} {chat}")
        for chat in sorted(mine & view.chats.keys()):
            yield from _compare(client, chat, view.chats[chat], evidence.stores.messages.get(chat, ()))
            yield from _compare_changes(client, chat, view, evidence.stores.changes.get(chat, ()))


def seen_is_stored(evidence: Evidence) -> Iterator[Violation]:
    """What was delivered is in the store where it was delivered, whether its sender got an ack or not.

    Exempt is what was acked to nobody before a Redis lost its outbox.
    """
    told: set[str] = set()
    for saw in evidence.of(Saw):
        if saw.event != "new-message" or saw.message_id in told:
            continue
        found = evidence.stores.by_id.get(saw.message_id)
        exempt = evidence.redis_was_lost and saw.message_id not in evidence.acked_ids
        if found is None and not exempt:
            told.add(saw.message_id)
            yield Violation("phantom", f"{saw.message_id} ({saw.key}) was delivered at {saw.seq}, not stored")
        elif found is not None and (found[0], found[1].seq) != (saw.chat_id, saw.seq):
            told.add(saw.message_id)
            yield Violation("moved", f"{saw.message_id} delivered at {saw.seq}, stored at {found[1].seq}")


def _compare(client: str, chat: str, seen: Sequence[Line], stored: Sequence[Line]) -> Iterator[Violation]:
    if list(seen) == list(stored):
        return
    missing = [line.seq for line in stored if line not in seen]
    extra = [line.seq for line in seen if line not in stored]
    yield Violation(
        "view differs", f"{client} in {chat} lacks {_some(missing)}, has {_some(extra)} that is not stored"
    )


def _compare_changes(
    client: str, chat: str, view: ClientView, stored: Sequence[Change]
) -> Iterator[Violation]:
    """Who came and went, as far as it came over the log: history shows messages alone."""
    known = view.reloaded.get(chat, 0)
    seen = {seq for seq in view.changes.get(chat, ()) if seq > known}
    there = {change.seq for change in stored if change.seq > known and not change.void}
    if seen != there:
        lacks, extra = _some(sorted(there - seen)), _some(sorted(seen - there))
        yield Violation(
            "view differs", f"{client} in {chat} lacks change {lacks}, has {extra} that is not stored"
        )


def _epochs(positions: Iterable[int]) -> Iterator[list[int]]:
    """Cuts ascending positions where the log was rebuilt."""
    epoch: list[int] = []
    for before, position in pairwise([0, *positions]):
        if epoch and position - before > _NEW_EPOCH:
            yield epoch
            epoch = []
        epoch.append(position)
    if epoch:
        yield epoch


def _some(positions: Sequence[int]) -> str:
    if not positions:
        return "nothing"
    more = f" and {len(positions) - _EXAMPLES} more" if len(positions) > _EXAMPLES else ""
    return ", ".join(map(str, positions[:_EXAMPLES])) + more
