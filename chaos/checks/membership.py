"""A change of membership that was answered as done is stored, and everyone hears of it through the log."""

from collections.abc import Iterator

from chaos.evidence import Evidence, Violation
from chaos.records import MembershipAsked, MembershipDone


def changes_are_stored_and_logged(evidence: Evidence) -> Iterator[Violation]:
    """The last change of each member that was answered as done: by the store, and by the log.

    Whom the scripts add and remove is a member from the beginning, so a removal must be in the log.
    """
    last: dict[tuple[str, str], MembershipDone | MembershipAsked] = {}
    for record in evidence.records:
        if isinstance(record, MembershipDone | MembershipAsked):
            last[record.chat_id, record.member_id] = record
    for (chat, user), record in last.items():
        if isinstance(record, MembershipAsked):
            continue  # nobody can tell
        verb = "added" if record.adds else "removed"
        if (user in evidence.stores.members.get(chat, ())) is not record.adds:
            yield Violation("membership differs", f"{user} was {verb} in {chat}, the store says otherwise")
        logged = _last_logged(evidence, chat, user)
        if logged is not record.adds and not (record.adds and logged is None):
            yield Violation("change not logged", f"{user} was {verb} in {chat}, the log does not say so")


def _last_logged(evidence: Evidence, chat: str, user: str) -> bool | None:
    """Whether the last change of this user in the log is an add; None without any."""
    found: bool | None = None
    for change in sorted(evidence.stores.changes.get(chat, ()), key=lambda change: change.seq):
        if user in change.added:
            found = True
        elif user == change.removed:
            found = False
    return found
