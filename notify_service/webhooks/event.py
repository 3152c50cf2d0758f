"""What integrators receive: the events, and the JSON that is posted. Pure."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, Self

import msgspec

from mesh.clock import to_rfc3339


class HookEventType(Enum):
    """What can be subscribed to; the value is the `type` of the JSON."""

    MESSAGE_CREATED = "message.created"
    MEMBERS_ADDED = "chat.members_added"
    MEMBER_REMOVED = "chat.member_removed"
    CHAT_UPDATED = "chat.updated"


@dataclass(frozen=True, slots=True)
class MessageCreated:
    """A message was stored."""

    id: str
    sender_id: str
    type: str
    """`text`, `image` or `file`."""
    content: str
    """Empty when it is to be left out: no message is empty."""
    client_msg_id: str
    mentions: tuple[str, ...]
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class NewMember:
    """One of those who were added."""

    user_id: str
    role: str
    """`admin` or `member`."""
    joined_at_ms: int


@dataclass(frozen=True, slots=True)
class MembersAdded:
    """Users became members of a group."""

    actor_id: str
    members: tuple[NewMember, ...]


@dataclass(frozen=True, slots=True)
class MemberRemoved:
    """A user is a member no more."""

    actor_id: str
    user_id: str
    promoted_id: str
    """Who became admin because the last one left; empty when nobody."""


@dataclass(frozen=True, slots=True)
class ChatUpdated:
    """A group's description changed; the fields hold what is true now."""

    actor_id: str
    name: str
    description: str
    avatar: str
    is_public: bool
    allow_invites: bool


Body = MessageCreated | MembersAdded | MemberRemoved | ChatUpdated

_TYPES: Final[dict[type[Body], HookEventType]] = {
    MessageCreated: HookEventType.MESSAGE_CREATED,
    MembersAdded: HookEventType.MEMBERS_ADDED,
    MemberRemoved: HookEventType.MEMBER_REMOVED,
    ChatUpdated: HookEventType.CHAT_UPDATED,
}


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One entry of a chat's log. The pair of chat and `seq` makes it one and the same."""

    chat_id: str
    epoch: int
    seq: int
    number: int
    at_ms: int
    body: Body

    @property
    def type(self) -> HookEventType:
        """What kind of event."""
        return _TYPES[type(self.body)]

    @property
    def actor_id(self) -> str:
        """Who caused it."""
        return self.body.sender_id if isinstance(self.body, MessageCreated) else self.body.actor_id

    def without_content(self) -> Self:
        """The same, without what a message says."""
        if isinstance(self.body, MessageCreated):
            return replace(self, body=replace(self.body, content=""))
        return self


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, and whom it is for."""

    event: HookEvent
    subscription_id: str = ""
    """Only this one, for which it was given up before; empty for all that want it."""
    traceparent: str = ""
    """The trace that it is a part of; empty unless that is recorded."""


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """An event that a subscription did not take in its time."""

    delivery_id: str
    subscription_id: str
    payload: bytes
    """The event as the delivery kept it."""
    reason: str
    attempts: int


def to_json(event: HookEvent) -> bytes:
    """The body of a request: `type`, `timestamp` and `data` (Standard Webhooks, "Payload structure").

    The same event gives the same bytes.
    """
    position = {
        "chatId": event.chat_id,
        "seq": event.seq,
        "number": event.number,
        "epoch": event.epoch,
    }
    return msgspec.json.encode(
        {
            "type": event.type.value,
            "timestamp": to_rfc3339(event.at_ms),
            "data": position | _data(event.body),
        }
    )


def _data(body: Body) -> dict[str, Any]:
    """What is particular to the kind; the names are those of the WebSocket's frames."""
    match body:
        case MessageCreated():
            content = {"content": body.content} if body.content else {}
            return {
                "id": body.id,
                "senderId": body.sender_id,
                "type": body.type,
                **content,
                "clientMsgId": body.client_msg_id,
                "mentions": body.mentions,
                "createdAt": to_rfc3339(body.created_at_ms),
            }
        case MembersAdded():
            return {"actorId": body.actor_id, "members": [_member(member) for member in body.members]}
        case MemberRemoved():
            return {
                "actorId": body.actor_id,
                "userId": body.user_id,
                "promotedId": body.promoted_id or None,
            }
        case ChatUpdated():
            return {
                "actorId": body.actor_id,
                "name": body.name,
                "description": body.description,
                "avatar": body.avatar,
                "settings": {"isPublic": body.is_public, "allowInvites": body.allow_invites},
            }


def _member(member: NewMember) -> dict[str, str]:
    return {"userId": member.user_id, "role": member.role, "joinedAt": to_rfc3339(member.joined_at_ms)}
