"""A change of membership that was answered as done is stored, and the log tells of all that are."""

from collections.abc import Iterator

from chaos.evidence import Evidence, Violation
from chaos.records import MembershipAsked, MembershipDone


def changes_are_stored_and_logged(evidence: Evidence) -> Iterator[Violation]:
    """The last change of each member, by the store and by the log. If it was not answered, the store tells.

    Whom the scripts add and remove is a member from the beginning.
    """
    last: dict[tuple[str, str], MembershipDone | MembershipAsked] = {}
    for record in evidence.records:
        if isinstance(record, MembershipDone | MembershipAsked):
            last[record.chat_id, record.member_id] = record
    for (chat, user), record in last.items():
        is_member = user in evidence.stores.members.get(chat, ())
        if isinstance(record, MembershipDone) and is_member is not record.adds:
            verb = "added" if record.adds else "removed"
            yield Violation("membership differs", f"{user} was {verb} in {chat}, the store says otherwise")
            is_member = record.adds
        if isinstance(record, MembershipAsked) and evidence.redis_was_lost:
            continue  # what is pending goes with it, see docs/guarantees.md
        if _is_member_by_log(evidence, chat, user) is not is_member:
            state = "a member" if is_member else "no member"
            yield Violation("change not logged", f"{user} is {state} of {chat}, the log does not say so")


def _is_member_by_log(evidence: Evidence, chat: str, user: str) -> bool:
    found = True
    for change in sorted(evidence.stores.changes.get(chat, ()), key=lambda change: change.seq):
        if user in change.added:
            found = True
        elif user == change.removed:
            found = False
    return found
