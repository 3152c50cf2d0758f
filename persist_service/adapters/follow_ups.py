"""What follows from stored entries: jobs to index, to count, to notify, and to tell integrators."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from mesh.amqp.connection import Broker
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import ANALYTICS, EVENT_HOOKS, MESSAGE_INDEX, NOTIFICATION_SEND
from parley.events.v1 import jobs_pb2
from persist_service.codec import message_to_proto
from persist_service.domain.chats import ChatType
from persist_service.domain.log import LogEntry, Message
from persist_service.domain.notifications import NewMessage, Notification, ReadUpTo

# Limits of the contract (jobs.proto).
_ITEMS_AT_ONCE: Final = 64
_RECIPIENTS_AT_ONCE: Final = 500

_TYPES: Final = {
    ChatType.DIRECT: jobs_pb2.NOTIFICATION_TYPE_DIRECT_MESSAGE,
    ChatType.GROUP: jobs_pb2.NOTIFICATION_TYPE_GROUP_MESSAGE,
}
T = TypeVar("T")


class BrokerFollowUps:
    """``ports.FollowUps``; raises ``Unavailable`` naming ``rabbitmq``."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def stored(self, entries: Sequence[LogEntry]) -> None:
        """As the port says."""
        messages = [entry.body for entry in entries if isinstance(entry.body, Message)]
        outgoing = [
            Outgoing(EVENT_HOOKS, _event_batch(part).SerializeToString())
            for part in _parts(entries, _ITEMS_AT_ONCE)
        ]
        for part in _parts(messages, _ITEMS_AT_ONCE):
            index = jobs_pb2.IndexBatch(messages=map(message_to_proto, part))
            outgoing.append(Outgoing(MESSAGE_INDEX, index.SerializeToString()))
            facts = jobs_pb2.AnalyticsBatch(
                facts=(
                    jobs_pb2.MessageFact(
                        chat_id=message.chat_id,
                        seq=message.seq,
                        sender_id=message.sender_id,
                        type=encoded.type,
                        created_at_ms=message.created_at_ms,
                    )
                    for message, encoded in zip(part, index.messages, strict=True)
                )
            )
            outgoing.append(Outgoing(ANALYTICS, facts.SerializeToString()))
        await self._broker.publish_many(outgoing)

    async def notify(self, notifications: Sequence[Notification]) -> None:
        """As the port says."""
        await self._broker.publish_many(
            [
                Outgoing(NOTIFICATION_SEND, _notification_batch(part).SerializeToString())
                for part in _within_limits(notifications)
            ]
        )


# Both are filled in place: made of finished parts, each part is copied twice, which takes twice as long.


def _event_batch(entries: Sequence[LogEntry]) -> jobs_pb2.EventBatch:
    batch = jobs_pb2.EventBatch()
    for entry in entries:
        batch.events.add().MergeFromString(entry.event)
    return batch


def _notification_batch(notifications: Sequence[Notification]) -> jobs_pb2.NotificationBatch:
    batch = jobs_pb2.NotificationBatch()
    for notification in notifications:
        if isinstance(notification, ReadUpTo):
            read = batch.notifications.add().read_up_to
            read.chat_id, read.user_id = notification.chat_id, notification.user_id
            read.seq = notification.seq
            continue
        new = batch.notifications.add().new_message
        new.type = _TYPES[notification.chat.type]
        new.message.MergeFrom(message_to_proto(notification.message))
        if notification.message.traceparent:
            new.traceparent = notification.message.traceparent
        new.sender_name, new.chat_name = notification.sender_name, notification.chat.name
        for recipient in notification.recipients:
            activity = recipient.activity
            new.recipients.add(
                user_id=recipient.user_id, last_active_ms=activity.last_ms, partial=activity.partial
            )
    return batch


def _within_limits(notifications: Sequence[Notification]) -> Iterator[Sequence[Notification]]:
    start = recipients = 0
    for place, notification in enumerate(notifications):
        named = len(notification.recipients) if isinstance(notification, NewMessage) else 0
        if place - start == _ITEMS_AT_ONCE or recipients + named > _RECIPIENTS_AT_ONCE:
            yield notifications[start:place]
            start, recipients = place, 0
        recipients += named
    yield notifications[start:]


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
