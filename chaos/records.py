"""What is written down during a run: by clients about what they did and saw, by the run about its faults.

All times are seconds since the run began. One object per line in the JSONL file, `kind` tells which.
"""

import time
from pathlib import Path
from typing import Self, TypeAlias

import msgspec


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """`at`: when it was written down."""

    at: float


class _OfClient(_Record, frozen=True):
    """`client` is one device: `user_id` and a number."""

    client: str
    user_id: str


class Opened(_OfClient, frozen=True, tag="opened"):
    """A connection was welcomed. `connection` numbers the client's connections."""

    connection: int
    edge: str


class Lost(_OfClient, frozen=True, tag="lost"):
    """A connection ended, or could not be made (`connection` 0)."""

    connection: int
    edge: str
    reason: str


class Sent(_OfClient, frozen=True, tag="sent"):
    """A `send-message` went out; the first attempt or a repeat under the same key."""

    edge: str
    chat_id: str
    key: str
    attempt: int


class Acked(_OfClient, frozen=True, tag="acked"):
    """The ack of a send."""

    edge: str
    chat_id: str
    key: str
    message_id: str
    epoch: int
    seq: int
    number: int
    duplicate: bool


class Dropped(_OfClient, frozen=True, tag="dropped"):
    """A message was refused for good, so the client gave it up: it is no longer a member, say."""

    chat_id: str
    key: str


class Refused(_OfClient, frozen=True, tag="refused"):
    """An error instead of an ack, or silence (`NO_ANSWER`)."""

    event: str
    code: str
    edge: str


class Saw(_OfClient, frozen=True, tag="saw"):
    """A frame that a server sent by itself; `seq` is 0 where the frame has none."""

    connection: int
    event: str
    chat_id: str
    epoch: int = 0
    seq: int = 0
    message_id: str = ""
    sender_id: str = ""
    key: str = ""
    reader_id: str = ""
    """Of read receipts: who has read up to `seq`."""


class Away(_OfClient, frozen=True, tag="away"):
    """`leave-chats` was acked; or, not `away`, the client is about to send `join-chats`."""

    connection: int
    chat_id: str
    away: bool


class Resuming(_OfClient, frozen=True, tag="resuming"):
    """The client is about to ask for all entries of a chat after `seq`."""

    connection: int
    chat_id: str
    epoch: int
    seq: int


class CaughtUp(_OfClient, frozen=True, tag="caught-up"):
    """The client has what it had missed; `why`: head, gap, resync, epoch, added.

    `reloaded`: `resume` could not tell (`reset`), so that it came from the history.
    """

    chat_id: str
    why: str
    found: int
    seconds: float
    reloaded: bool = False


class Read(_OfClient, frozen=True, tag="read"):
    """The ack of a `mark-read`: the pointer stands at `seq`."""

    chat_id: str
    seq: int


class MembershipAsked(_OfClient, frozen=True, tag="membership-asked"):
    """The client is about to ask for a change of who is in a group."""

    chat_id: str
    member_id: str
    adds: bool


class MembershipDone(_OfClient, frozen=True, tag="membership-done"):
    """The change was answered as done."""

    chat_id: str
    member_id: str
    adds: bool


class FaultBegan(_Record, frozen=True, tag="fault-began"):
    """Something is about to break. `number` counts the faults of the schedule."""

    number: int
    fault: str
    target: str
    text: str


class FaultEnded(_Record, frozen=True, tag="fault-ended"):
    """The cause is gone: the process was started again, the link is whole."""

    number: int


Record: TypeAlias = (
    Opened
    | Lost
    | Sent
    | Acked
    | Dropped
    | Refused
    | Saw
    | Away
    | Resuming
    | CaughtUp
    | Read
    | MembershipAsked
    | MembershipDone
    | FaultBegan
    | FaultEnded
)


class Journal:
    """All records in the order of their making, in memory and in a file; enter it to open the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = []
        self._began = time.monotonic()
        self._encoder = msgspec.json.Encoder()

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return round(time.monotonic() - self._began, 4)

    def write(self, record: Record) -> None:
        """Adds a record."""
        self.records.append(record)
        self._file.write(self._encoder.encode(record) + b"\n")

    def __enter__(self) -> Self:
        self._file = self.path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
