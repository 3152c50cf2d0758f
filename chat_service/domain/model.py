"""The values that use cases pass around. Positions, times and ids mean what the protos say of them."""

from dataclasses import dataclass, field
from enum import StrEnum

from parley.common.v1.chat_pb2 import LatestMessage
from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent


class Role(StrEnum):
    """What a user may do in a chat; the value is what Redis holds."""

    NONE = "none"
    MEMBER = "member"
    ADMIN = "admin"


class ChatKind(StrEnum):
    """The two kinds of chats."""

    DIRECT = "direct"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Send:
    """A message to accept: its event, without a position yet, and what its sender said besides."""

    event: ChatEvent
    read_seq: int | None = None
    """How far the sender has read by the send's own word; None: as far as the message."""
    is_new: bool = False
    """The store was asked, and has no such send of the sender."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the log of a chat."""

    epoch: int
    seq: int
    number: int


@dataclass(frozen=True, slots=True)
class FoundSend:
    """A message that the store had under its ``clientMsgId``, and the epoch of the log it stands in."""

    message: Message
    epoch: int


@dataclass(frozen=True, slots=True)
class Member:
    """One membership."""

    user_id: str
    role: Role
    joined_at_ms: int


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """What the admins of a group decided."""

    is_public: bool = False
    allow_invites: bool = False


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat; ``members`` are the first few. The last five fields are as one user sees it."""

    id: str
    kind: ChatKind
    members: tuple[Member, ...]
    member_count: int
    created_at_ms: int
    updated_at_ms: int
    created_by: str = ""
    owner_id: str = ""
    name: str = ""
    description: str = ""
    avatar: str = ""
    settings: GroupSettings | None = None
    latest: LatestMessage | None = None
    seq: int = 0
    epoch: int = 0
    unread: int = 0
    role: Role = Role.NONE
    online_user_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """What a user wants a new group to be."""

    name: str
    description: str
    avatar: str
    settings: GroupSettings
    member_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadPointer:
    """Everything up to ``seq`` is read; ``at_ms`` is when the pointer last moved."""

    seq: int = 0
    number: int = 0
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """Where the log of a chat ends; ``base`` is the position that this epoch of it began at."""

    epoch: int
    seq: int
    number: int
    member_count: int
    base: int = 0


@dataclass(frozen=True, slots=True)
class MembershipState:
    """What a user is in a chat, and where the chat stands for the user."""

    chat_id: str
    role: Role
    head: Head
    read: ReadPointer

    @property
    def unread(self) -> int:
        """Messages after the read pointer."""
        return max(0, self.head.number - self.read.number)


@dataclass(frozen=True, slots=True)
class Membership:
    """What is stored of one user in one chat."""

    role: Role
    read: ReadPointer


@dataclass(frozen=True, slots=True)
class StoredHead:
    """Where a new epoch of a log begins, as the store decided."""

    epoch: int
    seq: int
    number: int
    member_count: int


@dataclass(frozen=True, slots=True)
class UserChat:
    """That a user is in a chat, as stored; ``last_number`` is the highest stored count of messages."""

    chat_id: str
    kind: ChatKind
    member_count: int
    role: Role
    read: ReadPointer
    last_number: int


@dataclass(frozen=True, slots=True)
class UserChats:
    """A page of a user's chats; ``next_cursor`` is empty after the last."""

    chats: tuple[UserChat, ...]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class ChatPage:
    """A page of chats as the user sees them; ``next_cursor`` is empty after the last."""

    chats: tuple[Chat, ...]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class MemberPage:
    """A page of members; ``next_cursor`` is empty after the last."""

    members: tuple[Member, ...]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class MemberPointers:
    """How far one member is in a chat."""

    user_id: str
    read: ReadPointer = field(default_factory=ReadPointer)
    delivered_seq: int = 0


@dataclass(frozen=True, slots=True)
class PointerMove:
    """A pointer to move forward in the store; zero leaves the stored value."""

    chat_id: str
    user_id: str
    at_ms: int
    read: ReadPointer = field(default_factory=ReadPointer)
    delivered_seq: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """One live connection of a user, held by an edge; ``edge_id`` is empty for a caller without a lease.

    ``token_issued_at_ms`` is 0 when its token does not say. ``last_active_ms`` is when the client last did
    something, 0 when that is not known. ``partial``: it does not receive all chats of its user.
    """

    user_id: str
    connection_id: str
    token_issued_at_ms: int = 0
    last_active_ms: int = 0
    edge_id: str = ""
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """Everything up to a message reached a connection of the member."""

    user_id: str
    chat_id: str
    message_id: str
    seq: int
