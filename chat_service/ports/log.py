"""The log of each chat, its recent entries and its outbox."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from chat_service.domain.model import (
    Delivery,
    FoundSend,
    Head,
    MemberPointers,
    Membership,
    ReadPointer,
    Role,
    Send,
    StoredHead,
)
from chat_service.domain.resume import Entry, Window
from parley.chat.v1.chat_service_pb2 import SendAccepted
from parley.common.v1.chat_pb2 import LatestMessage
from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent


class Refusal(Enum):
    """Why the log did not take a message."""

    ROLE_UNKNOWN = auto()  # ask the store for the sender's role, remember it, try again
    NOT_A_MEMBER = auto()
    HEAD_MISSING = auto()  # lost, or older than it was: let the store begin a new epoch, restore, try again
    DEDUPE_UNCERTAIN = auto()  # ask the store for the send: remember it in the log, or mark it as new
    MOVING = auto()  # the chat is on its way from one server to another; nothing was done
    CONFLICT = auto()  # the clientMsgId stands for another message
    FAILED = auto()  # Redis answered with an error: whether the message was taken is not known


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry with its position, as the bytes that live delivery and the store get alike."""

    chat_id: str
    seq: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """The log has the message; ``entry`` is None when a repeat found its first copy handed over already."""

    accepted: SendAccepted
    entry: LogEntry | None
    has_read: bool = False
    """Its sender's read pointer went over messages of others, or that is not known."""


@dataclass(frozen=True, slots=True)
class Known:
    """What Redis knows of a user in a chat; None where it must be asked of the store.

    Of who is no member, or is not known to be one, nothing but the role is looked up.
    """

    role: Role | None
    head: Head | None
    read: ReadPointer | None


@dataclass(frozen=True, slots=True)
class MembersNow:
    """What becomes true of the members of a chat in the step in which an event about them is logged."""

    count: int
    roles: Mapping[str, Role]
    joined: Collection[str] = ()
    """They begin with nothing unread."""
    left: Collection[str] = ()
    """They take their pointers along."""


class ChatLog(Protocol):
    """The one ordered log of each chat: its head, its recent entries, its outbox and its channel."""

    async def accept(self, sends: Sequence[Send]) -> list[Taken | Refusal]:
        """Gives each message its place, delivers it live, and puts it into the outbox, in the order given.

        Whatever it took stays in the outbox until ``clear``. Never raises for one item.
        """

    async def append(self, event: ChatEvent, members: MembersNow | None = None) -> LogEntry | None:
        """Gives an event of any kind but a message its place, delivers it live, and puts it into the outbox.

        ``members``: of a change of the members, what it makes true in the same step. If that change is
        pending (``PendingChanges``), that it is logged is noted in that step too. None when the head is
        missing: then nothing was done.
        """

    async def begin(self, chat_id: str, roles: Mapping[str, Role], member_count: int) -> None:
        """Starts the log of a chat that was just made. Does nothing when it has one."""

    async def restore_heads(self, heads: Mapping[str, StoredHead]) -> None:
        """Gives logs whose head is missing the epoch that the store began.

        ``accept`` is DEDUPE_UNCERTAIN from then.
        """

    async def remember_sends(self, found: Sequence[FoundSend]) -> None:
        """Keeps first answers that the store had, so that a repeat gets them."""

    async def known(self, user_id: str, chat_ids: Sequence[str]) -> list[Known]:
        """What is known of one user in several chats."""

    async def latest(self, chat_ids: Sequence[str]) -> list[LatestMessage | None]:
        """The last message of each chat; None where there is none, or it is not known."""

    async def remember(self, user_id: str, memberships: Mapping[str, Membership]) -> None:
        """Keeps what the store said of chats of the user; whatever was written meanwhile wins."""

    async def deny(self, chat_id: str, user_id: str) -> None:
        """Takes the user's rights in the chat away at once, before the store is asked to."""

    async def forget_roles(self, chat_id: str, user_ids: Sequence[str]) -> None:
        """Lets the store be asked again for the roles of these users."""

    async def announce(self, signals: Sequence[ChatEvent]) -> None:
        """Tells those who are there, each signal in its chat. Returning does not mean that anyone heard."""

    async def mark_typing(self, chat_id: str, user_id: str, connection_id: str, *, is_typing: bool) -> bool:
        """Whether it is news: False when the same was said a moment ago, or another device types on.

        An accepted message of the user ends it, for all devices.
        """

    async def advance_read(
        self, chat_id: str, user_id: str, pointer: ReadPointer, message_id: str
    ) -> ReadPointer:
        """Moves the pointer forward and tells the chat when it moved; the pointer as it stands then."""

    async def advance_delivered(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Moves delivery pointers of known members forward and tells their chats; which ones moved."""

    async def pointers(self, chat_id: str) -> list[MemberPointers]:
        """The pointers that moved lately. Those of members who are not listed stand as the store has them."""


@dataclass(frozen=True, slots=True)
class Recent:
    """Messages of the recent log, the newest first, without a hole. ``whole``: the chat has no older ones."""

    messages: tuple[Message, ...]
    whole: bool


class RecentLog(Protocol):
    """The newest entries of each log, without a hole, as far back as they are kept."""

    async def read(self, windows: Sequence[Window]) -> list[list[Entry]]:
        """The entries that are kept of each window, in order."""

    async def newest(
        self, chat_id: str, count: int, *, below_seq: int = 0, below_number: int = 0, upto_seq: int = 0
    ) -> Recent:
        """Up to ``count`` messages below a position or a number; 0 stands for no bound.

        ``upto_seq`` is where to begin looking for a number: no message below it may stand above that.
        """

    async def at(self, chat_id: str, seq: int) -> tuple[int, int, str] | None:
        """Position and number of the last entry up to ``seq``, and the id of its message, empty if not known.

        None where the log no longer tells.
        """

    async def find_latest(self, chat_id: str, message_id: str) -> Message | None:
        """The message, if it is among the few newest entries."""

    async def find(self, chat_id: str, message_id: str) -> Message | None:
        """The message, wherever it stands in the recent log. Expensive: Redis searches all of it."""


class Outbox(Protocol):
    """What the log took and the broker has not confirmed."""

    async def mark(self, chat_ids: Sequence[str]) -> None:
        """Notes that these chats may have something in their outbox. Must return before the log takes it."""

    async def clear(self, entries: Sequence[LogEntry]) -> None:
        """Removes what the broker confirmed."""

    async def waiting(self, older_than_ms: int, limit: int) -> Mapping[str, tuple[LogEntry, ...]]:
        """Per chat: what has waited for at least ``older_than_ms``, in order; perhaps nothing.

        Looks at up to ``limit`` chats that were marked last so long ago, and at about as many of all others,
        in turn: a chat that never rests is looked at too. One of the former without waiting entries loses its
        mark, unless it was marked again meanwhile.
        """


@dataclass(frozen=True, slots=True)
class OutboxSize:
    """How much is left to hand over. ``oldest_ms``: since when the oldest mark stands; None without marks."""

    chats: int
    entries: int
    oldest_ms: int | None


class OutboxSizes(Protocol):
    """How much the outboxes hold, for the metrics."""

    async def size(self, count_up_to: int) -> OutboxSize:
        """The size now; entries are counted of ``count_up_to`` chats, those marked longest ago."""
