"""What integrators receive: entries of a chat's log, and the JSON that is posted. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from mesh.clock import to_rfc3339
from parley.edge.v1 import logged_events
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
    kind = entry.WhichOneof("body") or ""
    if kind not in _TYPES:
        return None
    body = getattr(entry, kind)
    return HookEvent(entry, _TYPES[kind], body.sender_id if kind == "message" else body.actor_id)


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
    data: dict[str, Any] = msgspec.to_builtins(logged_events.DATA[entry.WhichOneof("body") or ""](entry))
    for name in _FOR_CLIENTS:
        data.pop(name, None)
    if not data.get("content", True):
        del data["content"]
    return msgspec.json.encode(
        {"type": event.type.value, "timestamp": to_rfc3339(entry.occurred_at_ms), "data": data}
    )


_FOR_CLIENTS: Final = ("status", "readBy", "occurredAt")
_TYPES: Final[Mapping[str, HookEventType]] = {
    "message": HookEventType.MESSAGE_CREATED,
    "members_added": HookEventType.MEMBERS_ADDED,
    "member_removed": HookEventType.MEMBER_REMOVED,
    "chat_updated": HookEventType.CHAT_UPDATED,
}
