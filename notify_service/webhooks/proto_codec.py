"""Events of a chat's log, between protobuf and what integrators receive. Pure."""

from typing import Final

from google.protobuf.message import DecodeError

from contract.user_ids import USER_ID_RULE, is_user_id
from mesh.amqp.batches import BadItemError, BatchCodec
from mesh.ids import is_object_id
from notify_service.content_types import content_type_of
from notify_service.webhooks.event import (
    Body,
    ChatUpdated,
    Happened,
    HookEvent,
    MemberRemoved,
    MembersAdded,
    MessageCreated,
    NewMember,
)
from parley.common.v1.chat_pb2 import GroupSettings, Member, Role
from parley.common.v1.message_pb2 import Message, MessageType
from parley.events.v1 import chat_event_pb2
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import EventBatch

_LAST_MS: Final = 253_402_300_799_999  # the end of the year 9999
_CONTENT_TYPES_OUT: Final = {
    "text": MessageType.MESSAGE_TYPE_TEXT,
    "image": MessageType.MESSAGE_TYPE_IMAGE,
    "file": MessageType.MESSAGE_TYPE_FILE,
}
_NO_ROLES: Final = (Role.ROLE_UNSPECIFIED, Role.ROLE_NONE)
_ROLES: Final = {Role.ROLE_ADMIN: "admin", Role.ROLE_MEMBER: "member"}
_ROLES_OUT: Final = {name: number for number, name in _ROLES.items()}


class BadEventError(BadItemError):
    """An event that no log has; the text says why, without quoting content."""


def from_wire(event: ChatEvent) -> HookEvent | None:
    """What integrators receive; None for a void position, and for a kind that is not for them.

    Raises:
        BadEventError: a field breaks its rule.
    """
    if not is_object_id(event.chat_id):
        raise BadEventError("chat_id: must be 24 lower-case hex digits")
    if event.seq == 0:
        raise BadEventError("seq: is 0, so that it is no entry of a log")
    _check_time("occurred_at_ms", event.occurred_at_ms)
    body = _body_from_wire(event)
    if body is None:
        return None
    found = HookEvent(event.chat_id, event.epoch, event.seq, event.number, event.occurred_at_ms, body)
    if not is_user_id(found.actor_id):
        raise BadEventError(f"the sender or actor: {USER_ID_RULE}")
    return found


def to_wire(event: HookEvent) -> ChatEvent:
    """What `from_wire` reads."""
    wire = ChatEvent(
        chat_id=event.chat_id,
        occurred_at_ms=event.at_ms,
        epoch=event.epoch,
        seq=event.seq,
        number=event.number,
    )
    match event.body:
        case MessageCreated():
            wire.message.CopyFrom(_message(event.chat_id, event.body))
        case MembersAdded():
            wire.members_added.CopyFrom(_members_added(event.body))
        case MemberRemoved():
            wire.member_removed.CopyFrom(
                chat_event_pb2.MemberRemoved(
                    actor_id=event.body.actor_id,
                    user_id=event.body.user_id,
                    promoted_id=event.body.promoted_id,
                )
            )
        case ChatUpdated():
            wire.chat_updated.CopyFrom(_chat_updated(event.body))
    return wire


def to_bytes(event: HookEvent) -> bytes:
    """As a delivery keeps it."""
    return to_wire(event).SerializeToString(deterministic=True)


def from_bytes(payload: bytes) -> HookEvent:
    """What `to_bytes` wrote.

    Raises:
        BadEventError: these are not such bytes.
    """
    try:
        event = from_wire(ChatEvent.FromString(payload))
    except DecodeError as error:
        raise BadEventError("not a ChatEvent") from error
    if event is None:
        raise BadEventError("the event has no body")
    return event


def _split(body: bytes) -> list[tuple[ChatEvent, str]]:
    batch = EventBatch.FromString(body)
    return [(event, batch.subscription_id) for event in batch.events]


def _happened(wire: tuple[ChatEvent, str]) -> Happened | None:
    event, subscription_id = wire
    found = from_wire(event)
    return None if found is None else Happened(found, subscription_id, event.traceparent)


EVENTS: Final = BatchCodec(
    "EventBatch",
    split=_split,
    read=_happened,
    alone=lambda wire: EventBatch(events=wire[:1], subscription_id=wire[1]).SerializeToString(),
    ids=lambda wire: {"chat_id": wire[0].chat_id, "event_id": wire[0].id},
)
"""Queue `event-hooks`. The events of a batch go with the one subscription that it may be for."""


def _body_from_wire(event: ChatEvent) -> Body | None:
    match event.WhichOneof("body"):
        case "message":
            return _message_created(event.message)
        case "members_added":
            added = event.members_added
            return MembersAdded(added.actor_id, tuple(map(_new_member, added.members)))
        case "member_removed":
            removed = event.member_removed
            return MemberRemoved(removed.actor_id, removed.user_id, removed.promoted_id)
        case "chat_updated":
            updated = event.chat_updated
            return ChatUpdated(
                actor_id=updated.actor_id,
                name=updated.name,
                description=updated.description,
                avatar=updated.avatar,
                is_public=updated.settings.is_public,
                allow_invites=updated.settings.allow_invites,
            )
        case _:
            return None


def _message_created(message: Message) -> MessageCreated:
    if not is_object_id(message.id):
        raise BadEventError("message.id: must be 24 lower-case hex digits")
    if message.type == MessageType.MESSAGE_TYPE_UNSPECIFIED:
        raise BadEventError("message.type: is not set")
    _check_time("message.created_at_ms", message.created_at_ms)
    return MessageCreated(
        id=message.id,
        sender_id=message.sender_id,
        type=content_type_of(message.type).value,
        content=message.content,
        client_msg_id=message.client_msg_id,
        mentions=tuple(message.mentions),
        created_at_ms=message.created_at_ms,
    )


def _new_member(member: Member) -> NewMember:
    if member.role in _NO_ROLES:
        raise BadEventError(f"members.role: {member.role} is not a member's")
    _check_time("members.joined_at_ms", member.joined_at_ms)
    # A role that a later release adds is still a member's.
    return NewMember(member.user_id, _ROLES.get(member.role, "member"), member.joined_at_ms)


def _message(chat_id: str, body: MessageCreated) -> Message:
    return Message(
        id=body.id,
        chat_id=chat_id,
        sender_id=body.sender_id,
        type=_CONTENT_TYPES_OUT[body.type],
        content=body.content,
        client_msg_id=body.client_msg_id,
        mentions=body.mentions,
        created_at_ms=body.created_at_ms,
    )


def _members_added(body: MembersAdded) -> chat_event_pb2.MembersAdded:
    return chat_event_pb2.MembersAdded(
        actor_id=body.actor_id,
        members=[
            Member(user_id=member.user_id, role=_ROLES_OUT[member.role], joined_at_ms=member.joined_at_ms)
            for member in body.members
        ],
    )


def _chat_updated(body: ChatUpdated) -> chat_event_pb2.ChatUpdated:
    return chat_event_pb2.ChatUpdated(
        actor_id=body.actor_id,
        name=body.name,
        description=body.description,
        avatar=body.avatar,
        settings=GroupSettings(is_public=body.is_public, allow_invites=body.allow_invites),
    )


def _check_time(name: str, at_ms: int) -> None:
    if not 0 <= at_ms <= _LAST_MS:
        raise BadEventError(f"{name}: is not within the years 1970 to 9999")
