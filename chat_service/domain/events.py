"""What can happen in a chat. Changes get a place in the log; signals are told and forgotten."""

from dataclasses import dataclass

from chat_service.domain.model import Chat, Member


@dataclass(frozen=True, slots=True)
class MembersAdded:
    """Users became members."""

    actor_id: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class MemberRemoved:
    """A user is a member no more; ``promoted_id`` became admin for it, empty when nobody."""

    actor_id: str
    user_id: str
    promoted_id: str = ""


Change = MembersAdded | MemberRemoved


@dataclass(frozen=True, slots=True)
class Typing:
    """A member types, or stopped."""

    user_id: str
    is_typing: bool


@dataclass(frozen=True, slots=True)
class Read:
    """A member's read pointer moved; ``message_id`` is empty when the whole chat was marked."""

    user_id: str
    message_id: str
    seq: int
    number: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """A member's delivery pointer moved."""

    user_id: str
    message_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Presence:
    """A user came online or went offline, told in ``chat_ids``."""

    user_id: str
    online: bool
    last_seen_ms: int
    chat_ids: tuple[str, ...]


Signal = Typing | Read | Delivered | Presence


@dataclass(frozen=True, slots=True)
class ChatAdded:
    """For one user: became a member of ``chat``."""

    chat: Chat
    actor_id: str


@dataclass(frozen=True, slots=True)
class ChatRemoved:
    """For one user: is a member no more."""

    chat_id: str
    actor_id: str


@dataclass(frozen=True, slots=True)
class SessionsRevoked:
    """For one user: a connection must end, or all (empty) whose token was issued before that time."""

    connection_id: str
    issued_before_ms: int


UserNews = ChatAdded | ChatRemoved | SessionsRevoked
