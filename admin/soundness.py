"""Whether restored databases hold together: all documents, logs without holes, no reference to nothing."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bson import ObjectId

from admin.archive import Part
from admin.mongo import Collection, Database
from persist_service.domain.log import EPOCH_JUMP, VOID

_EXAMPLES: Final = 3
_OF_CHATS: Final = ("memberships", "messages", "changes")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, and where it does not."""

    what: str
    checked: int
    problems: list[str]

    def row(self) -> dict[str, Any]:
        """As it is shown."""
        more = len(self.problems) - _EXAMPLES
        examples = "; ".join(self.problems[:_EXAMPLES]) + (f"; and {more} more" if more > 0 else "")
        state = f"{len(self.problems)} PROBLEMS" if self.problems else "ok"
        return {"check": self.what, "checked": self.checked, "state": state, "detail": examples}


async def check_counts(database: Database, part: Part) -> Check:
    """As many documents as the backup holds. Unique indexes that could be made are a check of their own."""
    problems = []
    for name, file in part.collections.items():
        count = await database[name].count_documents({})
        if count != file.documents:
            problems.append(f"{name} has {count} documents instead of {file.documents}")
    return Check(f"documents of {part.database}", part.documents, problems)


async def check_references(database: Database) -> Check:
    """The chat of each membership, message and change is there, and its head is not before them."""
    checked = 0
    problems: list[str] = []
    heads = {
        chat["_id"]: (chat["lastSeq"], chat["lastNumber"])
        async for chat in database.chats.find({}, {"lastSeq": 1, "lastNumber": 1})
    }
    fields = {"chatId": 1, "seq": 1, "number": 1, "readSeq": 1, "readNumber": 1}
    for name in _OF_CHATS:
        async for document in database[name].find({}, fields):
            checked += 1
            head = heads.get(document["chatId"])
            if head is None:
                problems.append(f"{name} {document['_id']}: there is no chat {document['chatId']}")
            elif _is_beyond(document, *head):
                problems.append(f"{name} {document['_id']} is beyond the head of {document['chatId']}")
    return Check("references to chats", checked, problems)


def _is_beyond(document: Mapping[str, Any], last_seq: int, last_number: int) -> bool:
    seq = max(document.get("seq", 0), document.get("readSeq", 0))
    number = max(document.get("number", 0), document.get("readNumber", 0))
    return bool(seq > last_seq or number > last_number)


async def check_logs(database: Database) -> Check:
    """In each chat's log no position is missing and no number, see `Log`."""
    checked = 0
    problems: list[str] = []
    log: Log | None = None
    async for chat_id, seq, number in _entries(database):
        checked += 1
        if log is None or log.chat_id != chat_id:
            log = Log(chat_id)
        problems += log.take(seq, number)
    return Check("positions and numbers of logs", checked, problems)


class Log:
    """One chat's log, entry by entry in order.

    Numbers count messages, and messages of which only the position is left; other entries have none of their
    own. A log that Redis lost went on `EPOCH_JUMP` further, and there the numbers need not go on.
    """

    def __init__(self, chat_id: ObjectId) -> None:
        self.chat_id = chat_id
        self._seq = 0
        self._number = 0

    def take(self, seq: int, number: int | None) -> Iterable[str]:
        """The next entry, with its number if it has one of its own; what is wrong with it."""
        jumped = seq - self._seq >= EPOCH_JUMP
        if seq > self._seq + 1 and not jumped:
            yield f"chat {self.chat_id} lacks positions {self._seq + 1} to {seq - 1}"
        if number is not None:
            if number != self._number + 1 and not jumped:
                yield f"chat {self.chat_id} has number {number} at {seq} after {self._number}"
            self._number = number
        self._seq = seq


async def _entries(database: Database) -> AsyncIterator[tuple[ObjectId, int, int | None]]:
    """Chat, position and own number of all entries, chat by chat in order: two sorted streams made one."""
    messages, changes = _sorted(database.messages), _sorted(database.changes)
    message, change = await anext(messages, None), await anext(changes, None)
    while message is not None or change is not None:
        if change is None or (message is not None and _at(message) <= _at(change)):
            assert message is not None  # noqa: S101 - for mypy
            if change is not None and _at(message) == _at(change):
                change = await anext(changes, None)  # a void position that a message holds after all
            yield message["chatId"], message["seq"], message["number"]
            message = await anext(messages, None)
        else:
            yield change["chatId"], change["seq"], change["number"] if change["type"] == VOID else None
            change = await anext(changes, None)


def _sorted(collection: Collection) -> AsyncIterator[Mapping[str, Any]]:
    fields = {"chatId": 1, "seq": 1, "number": 1, "type": 1}
    return aiter(collection.find({}, fields).sort([("chatId", 1), ("seq", 1)]))


def _at(entry: Mapping[str, Any]) -> tuple[ObjectId, int]:
    return entry["chatId"], entry["seq"]
