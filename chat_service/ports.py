"""What the use cases need of the world.

Unless a method says otherwise: it awaits one network round trip however many items it is given, and raises
``Unavailable`` (retryable) when the server behind it cannot be reached; the effect is then not known.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from chat_service.domain.events import UserNews
from chat_service.domain.model import (
    Chat,
    Delivery,
    FoundSend,
    Group,
    Head,
    MemberPage,
    MemberPointers,
    Membership,
    PointerMove,
    ReadPointer,
    Role,
    Send,
    Session,
    StoredHead,
    UserChats,
)
from chat_service.domain.resume import Entry, Window
from chat_service.domain.revocation import Revocation
from mesh.token_bucket import hint_ms
from parley.chat.v1.chat_service_pb2 import SendAccepted
from parley.common.v1.chat_pb2 import LatestMessage
from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent


class Refusal(Enum):
    """Why the log did not take a message."""

    ROLE_UNKNOWN = auto()  # ask the store for the sender's role, remember it, try again
    NOT_A_MEMBER = auto()
    HEAD_MISSING = auto()  # lost, or older than it was: let the store begin a new epoch, restore, try again
    DEDUPE_UNCERTAIN = (
        auto()
    )  # ask the store whether it has the send: tell the log, or mark the message as new
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


Pair = tuple[str, str]
"""A chat and a user."""


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
        """Takes the user's rights in the chat away at once, before the store hears of it."""

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


class NonMembers(Protocol):
    """Who is no member of what, remembered for some seconds, of each user up to a limit."""

    async def known(self, pairs: Sequence[Pair]) -> set[Pair]:
        """Those who were no members a moment ago. A role that is known in the chat itself counts more."""

    async def remember(self, pairs: Sequence[Pair]) -> None:
        """Keeps what the store said."""


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
        """The message, wherever it stands in the recent log. Dear: Redis looks through all of it."""


class ChatLocks(Protocol):
    """One holder per chat among all processes, in the order in which they came."""

    def hold(self, chat_id: str) -> AbstractAsyncContextManager[None]:
        """Holds the chat while entered, 30 s at most; entering waits 3 s at most.

        Raises:
            ResourceExhausted: OVERLOADED, others hold it, or too many wait.
            Unavailable: Redis is down. Leaving may raise it too; the lock then ends by itself.
        """


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that was begun. ``logged``: the log has it, but who is concerned may not have been told."""

    change: ChatEvent
    logged: bool


class PendingChanges(Protocol):
    """What is being changed about the members of a chat; one change per chat.

    Call it while the chat is held, see ``ChatLocks``; ``of`` may be asked without, and is then soon old.
    """

    async def begin(self, change: ChatEvent) -> None:
        """Keeps the change until ``forget``. Two round trips."""

    async def of(self, chat_id: str) -> Pending | None:
        """What is pending."""

    async def forget(self, chat_id: str) -> None:
        """All of it is done; or it did not happen, and will not."""

    async def left_behind(self, older_than_ms: int, limit: int) -> list[str]:
        """Up to ``limit`` chats in which something is pending for so long. Needs no lock."""


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
    """What is told of the outboxes."""

    async def size(self, count_up_to: int) -> OutboxSize:
        """The size now; entries are counted of ``count_up_to`` chats, those marked longest ago."""


@dataclass(frozen=True, slots=True)
class Grant:
    """How many of a user's items are let through, and in how many seconds the others are to come again.

    Each of them has a turn of its own: the first after ``wait_seconds``, the next ``interval_seconds`` later.
    """

    count: int
    wait_seconds: float
    interval_seconds: float

    def retry_after_ms(self, place: int = 0) -> int:
        """The hint for the refused item at that place, from 0."""
        return hint_ms(self.wait_seconds + place * self.interval_seconds)


class RateLimiter(Protocol):
    """Token buckets per user and action, shared by all processes. A refusal takes nothing."""

    async def take(self, action: str, wanted: Mapping[str, int], *, price: int = 1) -> Mapping[str, Grant]:
        """Per user, for so many items of ``price`` tokens each: how many are granted."""

    async def give_back(self, action: str, tokens: Mapping[str, int]) -> None:
        """Per user: tokens that were taken for something that turned out to be free."""


class Presence(Protocol):
    """Who has a live connection."""

    async def open(self, session: Session) -> bool:
        """Whether the user was offline for all anyone was told.

        Raises:
            ResourceExhausted: TOO_MANY_CONNECTIONS.
            Unavailable: Redis.
        """

    async def renew(self, sessions: Sequence[Session]) -> list[str]:
        """Keeps sessions alive; the users who were offline for all anyone was told."""

    async def close(self, session: Session) -> None:
        """Ends a session. Whether its user is offline now is told by ``departed`` after a grace time."""

    async def departed(self, limit: int) -> list[str]:
        """Users whose last session is over for good; each is told once, to one caller."""

    async def online(self, user_ids: Sequence[str]) -> list[str]:
        """Those of the users who have a live session."""

    async def sessions(self, user_id: str) -> list[str]:
        """Ids of the user's live connections."""


class EdgeLeases(Protocol):
    """Which edges live, so that the sessions of one that died end with it."""

    async def keep(self, edge_id: str) -> bool:
        """Keeps the edge's lease for some seconds; whether it had one."""

    async def lapsed(self, limit: int) -> list[str]:
        """Edges whose lease is over."""

    async def take(self, edge_id: str) -> bool:
        """Ends a lease that is over; False when it was kept meanwhile, or another took it."""

    async def sessions(self, edge_id: str, limit: int) -> list[Session]:
        """Some of the sessions that the edge holds."""

    async def end(self, edge_id: str) -> bool:
        """Ends the edge's lease, so that it renews all that it holds; False when it has none."""


class Revocations(Protocol):
    """What was revoked lately. Asked on every handshake, so that it must not need the store."""

    async def revoke_tokens(self, user_id: str, at_ms: int) -> int:
        """Revokes the user's tokens up to now; the time (ms) before which those were issued.

        The clock of whoever makes tokens may be off by a leeway, either way. So that time is the leeway
        before ``at_ms``, and beyond every token that ``known`` was asked about. It never moves back, and is
        forgotten after an hour.
        """

    async def end_connection(self, session: Session) -> None:
        """Notes that the connection must end; forgotten after an hour, when the session is long over."""

    async def known(self, sessions: Sequence[Session]) -> list[Revocation]:
        """What is known of each session. Tokens in doubt are noted for ``revoke_tokens``."""

    async def remember(self, stored: Mapping[str, int]) -> None:
        """Keeps what the store said, per user; whatever was revoked meanwhile wins."""


class UserChannels(Protocol):
    """The channel of each user."""

    async def publish(self, news: Mapping[str, UserNews]) -> None:
        """Tells each user's live connections. Returning does not mean that anyone heard."""


class Broker(Protocol):
    """The way to the store. Returning means that RabbitMQ has it on disk."""

    @property
    def is_up(self) -> bool:
        """Whether it can be reached as far as is known. Never blocks."""

    async def persist(self, entries: Sequence[LogEntry]) -> None:
        """Hands log entries over, those of one chat in order."""

    async def move_pointers(self, moves: Sequence[PointerMove]) -> None:
        """Hands pointer moves over."""


class Store(Protocol):
    """persist_service, asked over gRPC."""

    async def upsert_user(self, user_id: str, name: str) -> int:
        """Records a user; the time (ms) before which its tokens are revoked, 0 when they never were."""

    async def revoke_tokens(self, user_id: str, before_ms: int) -> None:
        """Records that the user's tokens issued before are revoked."""

    async def revocations(self, user_ids: Sequence[str]) -> Mapping[str, int]:
        """Per user, as ``upsert_user`` answers."""

    async def set_last_seen(self, user_id: str, last_seen_ms: int) -> None:
        """Records when a user was last online."""

    async def create_direct(self, user_id: str, peer_id: str) -> tuple[Chat, bool]:
        """The direct chat of the pair, and whether it is new."""

    async def create_group(
        self, chat_id: str, user_id: str, group: Group, *, strangers_limited: bool
    ) -> Chat:
        """A new group under that id.

        Raises:
            FailedPrecondition: TOO_MANY_GROUPS, where strangers are limited.
        """

    async def add_members(self, chat_id: str, member_ids: Sequence[str], added_by_id: str = "") -> Chat:
        """The group afterwards. ``added_by_id`` may be a stranger to them, who is limited.

        Raises:
            FailedPrecondition: CHAT_FULL, WRONG_CHAT_TYPE, TOO_MANY_GROUPS.
        """

    async def remove_member(self, chat_id: str, user_id: str, *, promote_successor: bool) -> str:
        """Who became admin for it; empty when nobody.

        Raises:
            FailedPrecondition: LAST_ADMIN, WRONG_CHAT_TYPE.
        """

    async def get_chat(self, chat_id: str) -> Chat:
        """One chat.

        Raises:
            NotFound: CHAT_NOT_FOUND.
        """

    async def get_chats(self, chat_ids: Sequence[str]) -> Mapping[str, Chat]:
        """Up to 100 chats by id; one that does not exist is left out."""

    async def list_members(self, chat_id: str, role: Role | None, limit: int, cursor: str) -> MemberPage:
        """Members by joining, those with ``role`` alone.

        Raises:
            InvalidArgument: the cursor is none.
        """

    async def memberships(self, pairs: Sequence[tuple[str, str]]) -> list[Membership]:
        """One answer per pair of chat and user."""

    async def rebuild_heads(self, chat_ids: Sequence[str]) -> Mapping[str, StoredHead]:
        """Begins a new epoch of logs that Redis lost, durably; a chat that does not exist is left out."""

    async def list_chats(
        self, user_id: str, limit: int, cursor: str = "", *, fresh: bool = False
    ) -> UserChats:
        """A page of the user's chats, the last changed first; what is not ``fresh`` may be 300 s old.

        Raises:
            InvalidArgument: the cursor is none.
        """

    async def list_messages(
        self, chat_id: str, limit: int, *, before_seq: int = 0, before_number: int = 0
    ) -> list[Message]:
        """Stored messages, the newest first."""

    async def list_entries(self, window: Window) -> list[Entry]:
        """The first stored entries beyond the beginning of the window, in order, at most as many as its size.

        There may be holes: what is not stored yet.
        """

    async def find_sends(self, sends: Sequence[Send]) -> list[FoundSend | None]:
        """What is stored under the ``clientMsgId`` of each, in order."""

    async def get_message(self, chat_id: str, message_id: str) -> Message:
        """One stored message.

        Raises:
            NotFound: MESSAGE_NOT_FOUND.
        """

    async def pointers(self, chat_id: str) -> list[MemberPointers]:
        """The stored pointers of up to 100 members; waits 1 s at most."""
