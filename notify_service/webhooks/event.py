"""What integrators receive: entries of a chat's log, and the JSON that is posted. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from mesh.clock import to_rfc3339
from parley.edge.v1 import frames
from parley.edge.v1.conversions import group_settings_from_pb, member_from_pb, message_from_pb
from parley.events.v1.chat_event_pb2 import ChatEvent


class HookEventType(Enum):
    """What can be subscribed to; the value is the `type` of the JSON."""

    MESSAGE_CREATED = "message.created"
    MEMBERS_ADDED = "chat.members_added"
    MEMBER_REMOVED = "chat.member_removed"
    CHAT_UPDATED = "chat.updated"


@dataclass(frozen=True, slots=True)
class HookEvent:
    """An entry of a chat's log, and what subscriptions ask of it. Chat and `seq` make it one and the same."""

    entry: ChatEvent
    type: HookEventType
    actor_id: str
    """Who caused it."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, and whom it is for."""

    event: HookEvent
    subscription_id: str = ""
    """Only this one, for which it was given up before; empty for all that want it."""


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """An event that a subscription did not take in its time."""

    delivery_id: str
    subscription_id: str
    payload: bytes
    """The event as the delivery kept it."""
    reason: str
    attempts: int


def hook_event(entry: ChatEvent) -> HookEvent | None:
    """None for a void position, and for a kind that is not for integrators."""
    kind = _KINDS.get(entry.WhichOneof("body") or "")
    return None if kind is None else HookEvent(entry, kind.type, kind.actor(entry))


def without_content(entry: ChatEvent) -> ChatEvent:
    """The same, without what a message says."""
    if not entry.HasField("message"):
        return entry
    reduced = ChatEvent()
    reduced.CopyFrom(entry)
    reduced.message.ClearField("content")
    return reduced


def to_json(event: HookEvent) -> bytes:
    """The body of a request: `type`, `timestamp` and `data` (Standard Webhooks, "Payload structure").

    `data` is that of the WebSocket's frame, without what stands outside of it or is for clients alone, and
    without the content if there is none: no message is empty. The same event gives the same bytes.
    """
    entry = event.entry
    data: dict[str, Any] = msgspec.to_builtins(_KINDS[entry.WhichOneof("body") or ""].data(entry))
    for name in _FOR_CLIENTS:
        data.pop(name, None)
    if not data.get("content", True):
        del data["content"]
    return msgspec.json.encode(
        {"type": event.type.value, "timestamp": to_rfc3339(entry.occurred_at_ms), "data": data}
    )


@dataclass(frozen=True, slots=True)
class _Kind:
    type: HookEventType
    actor: Callable[[ChatEvent], str]
    data: Callable[[ChatEvent], frames.Data]


def _message(entry: ChatEvent) -> frames.Data:
    # Its position was given after it was encoded, so it stands on the event.
    shown = message_from_pb(entry.message)
    return msgspec.structs.replace(
        shown, chat_id=entry.chat_id, seq=entry.seq, number=entry.number, epoch=entry.epoch
    )


def _members_added(entry: ChatEvent) -> frames.Data:
    return frames.MembersAdded(
        **_place(entry),
        actor_id=entry.members_added.actor_id,
        members=[member_from_pb(member) for member in entry.members_added.members],
    )


def _member_removed(entry: ChatEvent) -> frames.Data:
    removed = entry.member_removed
    return frames.MemberRemoved(
        **_place(entry),
        actor_id=removed.actor_id,
        user_id=removed.user_id,
        promoted_id=removed.promoted_id or None,
    )


def _chat_updated(entry: ChatEvent) -> frames.Data:
    updated = entry.chat_updated
    return frames.ChatUpdated(
        **_place(entry),
        actor_id=updated.actor_id,
        name=updated.name,
        description=updated.description,
        avatar=updated.avatar,
        settings=group_settings_from_pb(updated.settings),
    )


def _place(entry: ChatEvent) -> dict[str, Any]:
    return {
        "chat_id": entry.chat_id,
        "seq": entry.seq,
        "number": entry.number,
        "epoch": entry.epoch,
        "occurred_at": to_rfc3339(entry.occurred_at_ms),
    }


_FOR_CLIENTS: Final = ("status", "readBy", "occurredAt")
_KINDS: Final[Mapping[str, _Kind]] = {
    "message": _Kind(HookEventType.MESSAGE_CREATED, lambda entry: entry.message.sender_id, _message),
    "members_added": _Kind(
        HookEventType.MEMBERS_ADDED, lambda entry: entry.members_added.actor_id, _members_added
    ),
    "member_removed": _Kind(
        HookEventType.MEMBER_REMOVED, lambda entry: entry.member_removed.actor_id, _member_removed
    ),
    "chat_updated": _Kind(
        HookEventType.CHAT_UPDATED, lambda entry: entry.chat_updated.actor_id, _chat_updated
    ),
}
