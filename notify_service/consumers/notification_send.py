"""Queue `notification-send`: users to be told of messages."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from google.protobuf.message import DecodeError

from mesh.amqp.connection import Broker, Outgoing
from mesh.amqp.deliveries import Ack, Dead, Delivery, Outcome, Retry, next_stop
from mesh.amqp.topology import NOTIFICATION_SEND
from mesh.ids import is_object_id
from mesh.logs import get_logger
from notify_service.domain.limits import MAX_USER_ID
from notify_service.domain.notification import ContentType, Notification
from notify_service.use_cases.notify_users import NotifyUsers
from parley.common.v1.message_pb2 import MessageType
from parley.events.v1 import jobs_pb2
from parley.events.v1.jobs_pb2 import NotificationType

_TYPES: Final = {
    NotificationType.NOTIFICATION_TYPE_DIRECT_MESSAGE,
    NotificationType.NOTIFICATION_TYPE_GROUP_MESSAGE,
}
_CONTENT_TYPES: Final = {
    MessageType.MESSAGE_TYPE_TEXT: ContentType.TEXT,
    MessageType.MESSAGE_TYPE_IMAGE: ContentType.IMAGE,
    MessageType.MESSAGE_TYPE_FILE: ContentType.FILE,
}

_log = get_logger()


class NotificationConsumer:
    """Turns deliveries into notifications and what became of those into outcomes."""

    def __init__(self, notify_users: NotifyUsers, broker: Broker, queue: str = NOTIFICATION_SEND) -> None:
        self._notify_users = notify_users
        self._broker = broker
        self._queue = queue

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """One outcome per delivery. What is malformed alone is dead-lettered alone.

        Raises:
            Unavailable: MongoDB, or the broker for dead letters, cannot be reached; nothing is lost by it.
        """
        batches: list[list[Notification] | Dead] = []
        malformed: list[Outgoing] = []
        for delivery in deliveries:
            good, bad = self._read(delivery)
            batches.append(good)
            malformed += bad
        if malformed:
            await self._broker.publish_many(malformed)
        wanted = [notification for batch in batches if isinstance(batch, list) for notification in batch]
        held = set(await self._notify_users(wanted)) if wanted else set()
        return [_outcome(batch, held) for batch in batches]

    def _read(self, delivery: Delivery) -> tuple[list[Notification] | Dead, list[Outgoing]]:
        """The good ones, and dead letters of their own for the bad ones; or why nothing of it can be read."""
        try:
            batch = jobs_pb2.NotificationBatch.FromString(delivery.body)
        except DecodeError as error:
            return Dead(f"not a NotificationBatch: {error}"), []
        if not batch.notifications:
            return Dead("an empty NotificationBatch"), []
        good: list[Notification] = []
        bad: list[Outgoing] = []
        for job in batch.notifications:
            problem = _problem(job)
            if problem is None:
                good.append(_to_notification(job))
                continue
            _log.warning("notify.malformed", problem=problem, message_id=job.message.id)
            alone = replace(
                delivery, body=jobs_pb2.NotificationBatch(notifications=[job]).SerializeToString()
            )
            bad.append(next_stop(alone, Dead(problem), self._queue, ()))
        return good, bad


def _outcome(batch: list[Notification] | Dead, held: set[Notification]) -> Outcome:
    if isinstance(batch, Dead):
        return batch
    # The others of the batch come back with it, and find their entries settled.
    return Retry("another process is sending it") if held.intersection(batch) else Ack()


def _problem(job: jobs_pb2.Notification) -> str | None:
    """What makes a job impossible to handle, for the dead letter's reason."""
    checks = (
        (1 <= len(job.user_id) <= MAX_USER_ID, f"user_id: must have 1 to {MAX_USER_ID} characters"),
        (job.type in _TYPES, f"type: {job.type} is not known"),
        (is_object_id(job.chat_id), "chat_id: must be 24 lower-case hex digits"),
        (is_object_id(job.message.id), "message.id: must be 24 lower-case hex digits"),
        (job.message.type in _CONTENT_TYPES, f"message.type: {job.message.type} is not known"),
        (1 <= len(job.sender_id) <= MAX_USER_ID, f"sender_id: must have 1 to {MAX_USER_ID} characters"),
    )
    return next((problem for holds, problem in checks if not holds), None)


def _to_notification(job: jobs_pb2.Notification) -> Notification:
    return Notification(
        user_id=job.user_id,
        chat_id=job.chat_id,
        message_id=job.message.id,
        sender_id=job.sender_id,
        content=job.message.content,
        content_type=_CONTENT_TYPES[job.message.type],
        sender_name=job.sender_name,
        chat_name=job.chat_name,
    )
