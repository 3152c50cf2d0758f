"""Queue `notification-send`: what members may have to be told."""

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError

from contract.user_ids import USER_ID_RULE, is_user_id
from mesh.amqp.connection import Broker
from mesh.amqp.deliveries import Ack, Dead, Delivery, Outcome, next_stop
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import NOTIFICATION_SEND
from mesh.ids import is_object_id
from mesh.logs import get_logger
from notify_service.content_types import CONTENT_TYPES
from notify_service.domain.notification import (
    Message,
    NewMessage,
    Notification,
    ReadUpTo,
    Recipient,
)
from notify_service.intake.intake import TakeIn
from parley.events.v1 import jobs_pb2
from parley.events.v1.jobs_pb2 import NotificationType

MAX_RECIPIENTS: Final = 500
_DIRECT: Final = {
    NotificationType.NOTIFICATION_TYPE_DIRECT_MESSAGE: True,
    NotificationType.NOTIFICATION_TYPE_GROUP_MESSAGE: False,
}
_LAST_MS: Final = 2**32 * 1000
"""Ids of the ledger begin with the seconds in 32 bits."""
_LAST_SEQ: Final = 2**63
"""MongoDB counts up to there."""

_log = get_logger()


class NotificationConsumer:
    """Turns deliveries into jobs. What is malformed goes to the dead letters, alone."""

    def __init__(self, take_in: TakeIn, broker: Broker, queue: str = NOTIFICATION_SEND) -> None:
        self._take_in = take_in
        self._broker = broker
        self._queue = queue

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """One outcome per delivery.

        Raises:
            Unavailable: MongoDB, or the broker for dead letters, cannot be reached; nothing is lost by it.
        """
        outcomes: list[Outcome] = []
        good: list[Notification] = []
        malformed: list[Outgoing] = []
        for delivery in deliveries:
            try:
                batch = jobs_pb2.NotificationBatch.FromString(delivery.body)
            except DecodeError as error:
                outcomes.append(Dead(f"not a NotificationBatch: {error}"))
                continue
            if not batch.notifications:
                outcomes.append(Dead("an empty NotificationBatch"))
                continue
            outcomes.append(Ack())
            for job in batch.notifications:
                problem = _problem(job)
                if problem is None:
                    good.append(_to_notification(job))
                else:
                    malformed.append(self._dead_letter(delivery, job, problem))
        if malformed:
            await self._broker.publish_many(malformed)
        if good:
            await self._take_in(good)
        return outcomes

    def _dead_letter(self, delivery: Delivery, job: jobs_pb2.Notification, problem: str) -> Outgoing:
        message = job.new_message.message
        named = {"chat_id": message.chat_id, "message_id": message.id}
        _log.warning(
            "notify.malformed",
            problem=problem,
            **{name: value for name, value in named.items() if is_object_id(value)},
        )
        alone = Delivery(
            body=jobs_pb2.NotificationBatch(notifications=[job]).SerializeToString(),
            headers=delivery.headers,
            attempt=delivery.attempt,
            message_id=delivery.message_id,
            redelivered=delivery.redelivered,
        )
        return next_stop(alone, Dead(problem), self._queue, ())


def _problem(job: jobs_pb2.Notification) -> str | None:
    """What makes a job impossible to handle, for the dead letter's reason."""
    match job.WhichOneof("body"):
        case "new_message":
            checks = _checks_of_message(job.new_message)
        case "read_up_to":
            read = job.read_up_to
            checks = (
                (is_object_id(read.chat_id), "read_up_to.chat_id: must be 24 lower-case hex digits"),
                (is_user_id(read.user_id), f"read_up_to.user_id: {USER_ID_RULE}"),
                (0 < read.seq < _LAST_SEQ, "read_up_to.seq: must be from 1 to 2^63 - 1"),
            )
        case _:
            return "body: is not set, or not known to this version"
    return next((problem for holds, problem in checks if not holds), None)


def _checks_of_message(new: jobs_pb2.NewMessage) -> tuple[tuple[bool, str], ...]:
    message, users = new.message, [recipient.user_id for recipient in new.recipients]
    return (
        (new.type in _DIRECT, f"type: {new.type} is not known"),
        (is_object_id(message.id), "message.id: must be 24 lower-case hex digits"),
        (is_object_id(message.chat_id), "message.chat_id: must be 24 lower-case hex digits"),
        (0 < message.seq < _LAST_SEQ, "message.seq: must be from 1 to 2^63 - 1"),
        (message.type in CONTENT_TYPES, f"message.type: {message.type} is not known"),
        (is_user_id(message.sender_id), f"message.sender_id: {USER_ID_RULE}"),
        (0 < message.created_at_ms < _LAST_MS, "message.created_at_ms: is not a time of this era"),
        (1 <= len(users) <= MAX_RECIPIENTS, f"recipients: must be 1 to {MAX_RECIPIENTS}"),
        (all(map(is_user_id, users)), f"recipients.user_id: {USER_ID_RULE}"),
        (len(set(users)) == len(users), "recipients: a user comes twice"),
    )


def _to_notification(job: jobs_pb2.Notification) -> Notification:
    if job.HasField("read_up_to"):
        read = job.read_up_to
        return ReadUpTo(read.chat_id, read.user_id, read.seq)
    new, message = job.new_message, job.new_message.message
    return NewMessage(
        Message(
            id=message.id,
            chat_id=message.chat_id,
            seq=message.seq,
            sender_id=message.sender_id,
            content=message.content,
            created_at_ms=message.created_at_ms,
            content_type=CONTENT_TYPES[message.type],
            sender_name=new.sender_name,
            chat_name=new.chat_name,
            direct=_DIRECT[new.type],
            mentions=frozenset(message.mentions),
            traceparent=new.traceparent,
        ),
        tuple(
            Recipient(recipient.user_id, recipient.last_active_ms, recipient.partial)
            for recipient in new.recipients
        ),
    )
