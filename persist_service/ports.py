"""What the use cases need of the world.

Everything here awaits input or output. Unless a docstring says otherwise, a method of a store raises
``Unavailable`` naming the server when it cannot be reached (the effect is then unknown, and doing it again is
safe), and returning means: durable on a majority.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent
from persist_service.domain.chats import Chat, ChatState, Head, Member, Role
from persist_service.domain.log import Advance, LogEntry, SendKey
from persist_service.domain.notifications import Activity, Notification
from persist_service.domain.pointers import Pointer
from persist_service.domain.statistics import Fact


class Verdict(Enum):
    """What became of one entry that was offered to a store."""

    STORED = auto()
    REPEAT = auto()
    """The same entry was there: the position and the id are the same."""
    DUPLICATE = auto()
    """The message was there under another id (same ``client_msg_id``, same content): the first one stays."""
    REJECTED = auto()


@dataclass(frozen=True, slots=True)
class Insertion:
    """A verdict; ``reason`` says why an entry was rejected and quotes none of its content."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A group as its maker described it. ``members`` holds the maker, as admin, first."""

    chat_id: str
    name: str
    description: str
    avatar: str
    is_public: bool
    allow_invites: bool
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Membership:
    """One user's membership of one chat."""

    chat_id: str
    role: Role
    read_seq: int = 0
    read_number: int = 0
    delivered_seq: int = 0


@dataclass(frozen=True, slots=True)
class MemberPlace:
    """A place among the members of a chat, in the order of joining."""

    joined_at_ms: int
    membership_id: str


class Users(Protocol):
    """Known users."""

    async def upsert(self, user_id: str, name: str) -> int:
        """Records the user; an empty name keeps the stored one. Since when its tokens are good (ms)."""

    async def seen(self, user_id: str, at_ms: int) -> None:
        """Records when the user was last online; never moves back."""

    async def revoke(self, user_id: str, before_ms: int) -> None:
        """Records that tokens issued before are revoked; never moves back."""

    async def revocations(self, user_ids: Collection[str]) -> dict[str, int]:
        """Since when tokens are good (ms), of those of the users who ever had theirs revoked."""

    async def names(self, user_ids: Collection[str]) -> dict[str, str]:
        """The names of those who have one."""


class Chats(Protocol):
    """Chats, without their messages."""

    async def create_direct(self, user_id: str, peer_id: str, now_ms: int) -> tuple[Chat, bool]:
        """The direct chat of a pair, and whether it is new. Any number of callers at once get the same."""

    async def create_group(self, group: NewGroup, now_ms: int) -> Chat:
        """The chat with that id, made from ``group`` if there was none."""

    async def find(self, chat_id: str) -> Chat | None:
        """A chat."""

    async def find_many(self, chat_ids: Collection[str]) -> dict[str, Chat]:
        """Those of the chats that exist, by id."""

    async def direct(self, user_id: str, peer_ids: Collection[str]) -> dict[str, str]:
        """The ids of the user's direct chats with those of the peers who have one, by peer."""

    async def states(self, chat_ids: Collection[str]) -> list[ChatState]:
        """What lists go by, of those of the chats that exist."""

    async def heads(self, chat_ids: Collection[str]) -> list[tuple[Head, int]]:
        """The head and the count of members of each of the chats that exists."""

    async def rebuild(self, chat_ids: Collection[str]) -> list[tuple[Head, int]]:
        """As ``heads``, after beginning a new life of each log: the next epoch, ``EPOCH_JUMP`` further.

        No two calls are ever told the same life.
        """

    async def advance(self, advances: Sequence[Advance]) -> None:
        """Moves heads and latest messages, each only forward. A chat that does not exist is passed over."""

    async def set_members(
        self, chat: Chat, members: Sequence[Member], count: int, now_ms: int
    ) -> Chat | None:
        """Replaces what the chat says of its members; None when another did so since ``chat`` was read."""

    async def change_member_count(self, chat_id: str, change: int, now_ms: int) -> Chat | None:
        """Adds ``change`` to the count, which is not repeatable; None when the chat does not exist."""


class Memberships(Protocol):
    """Who is a member of what, and how far."""

    async def add(
        self, chat_id: str, members: Sequence[Member], *, read_number: int = 0, added_by_id: str = ""
    ) -> list[Member]:
        """Adds those who are no members yet and returns them.

        Messages up to ``read_number`` do not count as unread for them, and not as read by them either. With
        ``added_by_id`` the others among them were ``added_unread``.
        """

    async def added_unread(self, user_ids: Collection[str]) -> dict[str, int]:
        """In how many chats that others added them to users have read nothing; who has none is left out."""

    async def remove(self, chat_id: str, user_id: str) -> bool:
        """Removes a member; False when there was none."""

    async def set_role(self, chat_id: str, user_id: str, role: Role) -> bool:
        """Gives a member a role; False when the user is no member."""

    async def find_many(self, questions: Sequence[tuple[str, str]]) -> list[Membership]:
        """The membership for each ``(chat_id, user_id)``, in order; with role NONE where there is none."""

    async def has_admin(self, chat_id: str, *, besides: str = "") -> bool:
        """Whether the chat has an admin other than ``besides``."""

    async def first(self, chat_id: str, limit: int) -> list[Member]:
        """The first members by joining."""

    async def page(
        self, chat_id: str, limit: int, *, after: MemberPlace | None = None, role: Role | None = None
    ) -> tuple[list[Member], MemberPlace | None]:
        """Up to ``limit`` members by joining, those with ``role`` alone, and where the next page begins."""

    async def count(self, chat_id: str) -> int:
        """How many members there are. Takes time in proportion to that."""

    def user_ids(self, chat_id: str, page: int) -> AsyncIterator[list[str]]:
        """All members' ids in pages."""

    async def user_ids_of(self, chat_ids: Collection[str]) -> dict[str, list[str]]:
        """All members' ids of each chat. For chats that are known to be small."""

    async def of_user(self, user_id: str) -> list[Membership]:
        """A user's memberships."""

    async def pointers(self, chat_id: str, limit: int) -> list[Pointer]:
        """The pointers of the first members by joining."""

    async def advance(self, pointers: Sequence[Pointer]) -> None:
        """Moves pointers, each only forward. Who is no member is passed over.

        A number without a position counts messages as not unread, and as not read either.
        """

    async def unread_totals(self, without: Mapping[str, Collection[str]]) -> dict[str, int]:
        """How many messages are after the read pointers of those of the users who have chats.

        In all their chats, but for those that are named with the user.
        """


class Messages(Protocol):
    """The stored messages of all chats."""

    async def insert(self, events: Sequence[ChatEvent]) -> list[Insertion]:
        """Stores messages; what became of each, in order. Storing again what is stored changes nothing."""

    async def find(self, chat_id: str, message_id: str) -> Message | None:
        """A message."""

    async def last(self, chat_id: str, limit: int, *, head_seq: int) -> list[Message]:
        """The last messages, the very last first, also those that the head has not counted yet.

        ``head_seq`` is about where the log ends; it saves reading, no more.
        """

    async def before(self, chat_id: str, limit: int, *, seq: int, number: int) -> list[Message]:
        """Up to ``limit`` messages with a smaller position and count (0 sets no bound, one is set).

        The last first.
        """

    async def between(self, chat_id: str, after: int, upto: int, limit: int) -> list[ChatEvent]:
        """The first messages with ``after < seq <= upto``, in order."""

    async def find_sends(self, keys: Sequence[SendKey]) -> list[ChatEvent | None]:
        """What is stored under each key, in order."""

    async def deleted(self, keys: Collection[tuple[str, str]]) -> set[str]:
        """The ids of those of the messages, ``(chat_id, message_id)``, that were deleted or do not exist."""


class Changes(Protocol):
    """The stored log entries that are no messages, of whatever kind."""

    async def insert(self, events: Sequence[ChatEvent]) -> list[Insertion]:
        """As ``Messages.insert``."""

    async def between(self, chat_id: str, after: int, upto: int, limit: int) -> list[ChatEvent]:
        """As ``Messages.between``, as they were logged; a void position has no body."""


class Barrier(Protocol):
    """Between what was handed over before and what comes after."""

    async def wait(self) -> None:
        """Returns once everything is stored that was in ``message-persist`` when this was called.

        Raises:
            Unavailable: that took longer than 2 s, or a server is down.
        """


class Markers(Protocol):
    """Markers that came out of a queue."""

    async def put(self, markers: Sequence[str]) -> None:
        """Tells that they did."""


class Terms(Protocol):
    """Search terms."""

    async def insert(self, terms: Sequence[tuple[Message, tuple[str, ...]]]) -> None:
        """Stores the terms of messages. Idempotent by message id."""


class Statistics(Protocol):
    """Counts per chat and day."""

    async def count(self, facts: Sequence[Fact]) -> None:
        """Counts each ``(chat_id, seq)`` once, however often it is told."""


class ChatLists(Protocol):
    """Cached chat lists."""

    async def drop(self, user_ids: Iterable[str]) -> None:
        """Forgets the lists of these users. Never raises: without Redis a list may be 300 s old."""


class Presence(Protocol):
    """Who is online."""

    async def last_active(self, user_ids: Collection[str]) -> dict[str, Activity]:
        """What the live connections of each user last did; who has none is left out.

        One round trip per 500 users. Never raises: without Redis nobody is known to be online.
        """

    async def known_activity(self, user_ids: Collection[str]) -> dict[str, Activity]:
        """As ``last_active``, for who can wait for the answer: raises ``Unavailable`` without Redis."""


class FollowUps(Protocol):
    """Work for others that follows from what was stored. Returning means: confirmed by the broker."""

    async def stored(self, entries: Sequence[LogEntry]) -> None:
        """Asks for messages to be indexed and counted, and for integrators to be told of every entry."""

    async def notify(self, notifications: Sequence[Notification]) -> None:
        """Tells notify_service. A notification names at most 500 recipients."""
