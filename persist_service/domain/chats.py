"""Chats and their members."""

import json
from dataclasses import dataclass
from enum import StrEnum

from parley.common.v1.chat_pb2 import LatestMessage

MEMBERS_LISTED = 5
"""How many members a chat names itself, by joining; the others are in its memberships."""


class ChatType(StrEnum):
    """The two kinds of chats, as stored."""

    DIRECT = "direct"
    GROUP = "group"


class Role(StrEnum):
    """What a user may do in a chat. ``NONE`` is an answer and never stored."""

    NONE = "none"
    MEMBER = "member"
    ADMIN = "admin"


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
class Head:
    """Where the stored log of a chat ends, or where its last epoch begins when nothing of that is stored."""

    chat_id: str
    epoch: int
    seq: int
    number: int


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat. ``members`` are the first ``MEMBERS_LISTED`` by joining, of ``member_count``.

    ``owner_id`` is an admin; empty for direct chats, and for groups that nobody is left in.
    """

    id: str
    type: ChatType
    members: tuple[Member, ...]
    member_count: int
    created_by: str
    owner_id: str
    created_at_ms: int
    updated_at_ms: int
    head: Head
    members_version: int = 0
    """Grows with each change of ``members``; 0 while a new group's members are still being stored."""
    latest_message: LatestMessage | None = None
    name: str = ""
    description: str = ""
    avatar: str = ""
    settings: GroupSettings | None = None

    def lists(self, user_id: str) -> bool:
        """Whether the user is among the listed members."""
        return any(member.user_id == user_id for member in self.members)


@dataclass(frozen=True, slots=True)
class ChatState:
    """What a list goes by: of a chat that its members may have filled with long texts, a few numbers."""

    chat_id: str
    type: ChatType
    member_count: int
    last_number: int
    updated_at_ms: int


def pair_key(user_id: str, peer_id: str) -> str:
    """The identity of a direct chat, the same whoever asks. JSON, since a user id may hold any separator."""
    return json.dumps(sorted((user_id, peer_id)), ensure_ascii=False, separators=(",", ":"))


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
