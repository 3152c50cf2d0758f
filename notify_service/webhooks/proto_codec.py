"""The queue `event-hooks`, and events as deliveries keep them: protobuf, checked. Pure."""

from typing import Final

from google.protobuf.message import DecodeError

from contract.user_ids import USER_ID_RULE, is_user_id
from mesh.amqp.batches import BadItemError, BatchCodec
from mesh.ids import is_object_id
from notify_service.webhooks.event import Happened, HookEvent, hook_event
from parley.common.v1.chat_pb2 import Role
from parley.common.v1.message_pb2 import MessageType
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import EventBatch

_LAST_MS: Final = 253_402_300_799_999  # the end of the year 9999
_NO_ROLES: Final = (Role.ROLE_UNSPECIFIED, Role.ROLE_NONE)


class BadEventError(BadItemError):
    """An event that no log has; the text says why, without quoting content."""


def read_event(entry: ChatEvent) -> HookEvent | None:
    """What integrators receive; None for a void position, and for a kind that is not for them.

    Raises:
        BadEventError: a field breaks its rule.
    """
    if not is_object_id(entry.chat_id):
        raise BadEventError("chat_id: must be 24 lower-case hex digits")
    if entry.seq == 0:
        raise BadEventError("seq: is 0, so that it is no entry of a log")
    _check_time("occurred_at_ms", entry.occurred_at_ms)
    event = hook_event(entry)
    if event is None:
        return None
    _check_message(entry)
    for member in entry.members_added.members:
        if member.role in _NO_ROLES:
            raise BadEventError(f"members.role: {member.role} is not a member's")
        _check_time("members.joined_at_ms", member.joined_at_ms)
    if not is_user_id(event.actor_id):
        raise BadEventError(f"the sender or actor: {USER_ID_RULE}")
    return event


def to_bytes(entry: ChatEvent) -> bytes:
    """As a delivery keeps it."""
    return entry.SerializeToString(deterministic=True)


def from_bytes(payload: bytes) -> HookEvent:
    """What `to_bytes` wrote.

    Raises:
        BadEventError: these are not such bytes.
    """
    try:
        event = read_event(ChatEvent.FromString(payload))
    except DecodeError as error:
        raise BadEventError("not a ChatEvent") from error
    if event is None:
        raise BadEventError("the event is of no kind that is known")
    return event


def _split(body: bytes) -> list[tuple[ChatEvent, str]]:
    batch = EventBatch.FromString(body)
    return [(entry, batch.subscription_id) for entry in batch.events]


def _happened(wire: tuple[ChatEvent, str]) -> Happened | None:
    event = read_event(wire[0])
    return None if event is None else Happened(event, wire[1])


EVENTS: Final = BatchCodec(
    "EventBatch",
    split=_split,
    read=_happened,
    alone=lambda wire: EventBatch(events=wire[:1], subscription_id=wire[1]).SerializeToString(),
    ids=lambda wire: {"chat_id": wire[0].chat_id, "event_id": wire[0].id},
)
"""Queue `event-hooks`. The events of a batch go with the one subscription that it may be for."""


def _check_message(entry: ChatEvent) -> None:
    if not entry.HasField("message"):
        return
    if not is_object_id(entry.message.id):
        raise BadEventError("message.id: must be 24 lower-case hex digits")
    if entry.message.type == MessageType.MESSAGE_TYPE_UNSPECIFIED:
        raise BadEventError("message.type: is not set")
    _check_time("message.created_at_ms", entry.message.created_at_ms)


def _check_time(name: str, at_ms: int) -> None:
    if not 0 <= at_ms <= _LAST_MS:
        raise BadEventError(f"{name}: is not within the years 1970 to 9999")
