"""Queue `notification-send`: what members may have to be notified of. Pure."""

from typing import Final

from contract.user_ids import USER_ID_RULE, is_user_id
from mesh.amqp.batches import BadItemError, BatchCodec, has_unknown_fields
from mesh.ids import is_object_id
from notify_service.content_types import content_type_of
from notify_service.domain.notification import (
    Message,
    NewMessage,
    Notification,
    ReadUpTo,
    Recipient,
)
from parley.common.v1.message_pb2 import MessageType
from parley.events.v1 import jobs_pb2
from parley.events.v1.jobs_pb2 import NotificationBatch, NotificationType

MAX_RECIPIENTS: Final = 500
_DIRECT: Final = {
    NotificationType.NOTIFICATION_TYPE_DIRECT_MESSAGE: True,
    NotificationType.NOTIFICATION_TYPE_GROUP_MESSAGE: False,
}
_LAST_MS: Final = 2**32 * 1000
"""Ids of the ledger begin with the seconds in 32 bits."""
_LAST_SEQ: Final = 2**63
"""MongoDB counts up to there."""


def _read(job: jobs_pb2.Notification) -> Notification | None:
    match job.WhichOneof("body"):
        case "new_message":
            _require(_checks_of_message(job.new_message))
            return _new_message(job.new_message)
        case "read_up_to":
            read = job.read_up_to
            _require(
                (
                    (is_object_id(read.chat_id), "read_up_to.chat_id: must be 24 lower-case hex digits"),
                    (is_user_id(read.user_id), f"read_up_to.user_id: {USER_ID_RULE}"),
                    (0 < read.seq < _LAST_SEQ, "read_up_to.seq: must be from 1 to 2^63 - 1"),
                )
            )
            return ReadUpTo(read.chat_id, read.user_id, read.seq)
        case _ if has_unknown_fields(job):
            return None
        case _:
            raise BadItemError("body: is not set")


def _require(checks: tuple[tuple[bool, str], ...]) -> None:
    for holds, problem in checks:
        if not holds:
            raise BadItemError(problem)


def _checks_of_message(new: jobs_pb2.NewMessage) -> tuple[tuple[bool, str], ...]:
    message, users = new.message, [recipient.user_id for recipient in new.recipients]
    return (
        (new.type != NotificationType.NOTIFICATION_TYPE_UNSPECIFIED, "type: is not set"),
        (is_object_id(message.id), "message.id: must be 24 lower-case hex digits"),
        (is_object_id(message.chat_id), "message.chat_id: must be 24 lower-case hex digits"),
        (0 < message.seq < _LAST_SEQ, "message.seq: must be from 1 to 2^63 - 1"),
        (message.type != MessageType.MESSAGE_TYPE_UNSPECIFIED, "message.type: is not set"),
        (is_user_id(message.sender_id), f"message.sender_id: {USER_ID_RULE}"),
        (0 < message.created_at_ms < _LAST_MS, "message.created_at_ms: is not a time of this era"),
        (1 <= len(users) <= MAX_RECIPIENTS, f"recipients: must be 1 to {MAX_RECIPIENTS}"),
        (all(map(is_user_id, users)), f"recipients.user_id: {USER_ID_RULE}"),
        (len(set(users)) == len(users), "recipients: a user comes twice"),
    )


def _new_message(new: jobs_pb2.NewMessage) -> NewMessage | None:
    message, direct = new.message, _DIRECT.get(new.type)
    if direct is None:
        return None
    return NewMessage(
        Message(
            id=message.id,
            chat_id=message.chat_id,
            seq=message.seq,
            sender_id=message.sender_id,
            content=message.content,
            created_at_ms=message.created_at_ms,
            content_type=content_type_of(message.type),
            sender_name=new.sender_name,
            chat_name=new.chat_name,
            direct=direct,
            mentions=frozenset(message.mentions),
            traceparent=new.traceparent,
        ),
        tuple(
            Recipient(recipient.user_id, recipient.last_active_ms, recipient.partial)
            for recipient in new.recipients
        ),
    )


NOTIFICATIONS: Final[BatchCodec[jobs_pb2.Notification, Notification]] = BatchCodec(
    "NotificationBatch",
    split=lambda body: NotificationBatch.FromString(body).notifications,
    read=_read,
    alone=lambda job: NotificationBatch(notifications=[job]).SerializeToString(),
    ids=lambda job: {
        "chat_id": job.new_message.message.chat_id,
        "message_id": job.new_message.message.id,
    },
)
