"""What follows from stored entries: jobs to index, to count, to notify, and to tell integrators."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from typing_extensions import override

from contract.batches import encoded_batch
from mesh.amqp.connection import Broker
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import ANALYTICS, EVENT_HOOKS, MESSAGE_INDEX, NOTIFICATION_SEND
from mesh.parts import parts
from parley.events.v1 import jobs_pb2
from persist_service.domain.chats import ChatType
from persist_service.domain.log import LogEntry
from persist_service.domain.notifications import NewMessage, Notification, ReadUpTo
from persist_service.ports import FollowUps

# Limits of the contract (jobs.proto).
_ITEMS_AT_ONCE: Final = 64
_RECIPIENTS_AT_ONCE: Final = 500

_TYPES: Final = {
    ChatType.DIRECT: jobs_pb2.NOTIFICATION_TYPE_DIRECT_MESSAGE,
    ChatType.GROUP: jobs_pb2.NOTIFICATION_TYPE_GROUP_MESSAGE,
}
T = TypeVar("T")


class BrokerFollowUps(FollowUps):
    """``ports.FollowUps``; raises ``Unavailable`` naming ``rabbitmq``."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @override
    async def stored(self, entries: Sequence[LogEntry]) -> None:
        messages = [entry.projection.message for entry in entries if entry.projection.message is not None]
        outgoing = [
            Outgoing(EVENT_HOOKS, encoded_batch(entry.event.SerializeToString() for entry in part))
            for part in parts(entries, _ITEMS_AT_ONCE)
        ]
        for part in parts(messages, _ITEMS_AT_ONCE):
            index = encoded_batch(message.SerializeToString() for message in part)
            outgoing.append(Outgoing(MESSAGE_INDEX, index))
            facts = jobs_pb2.AnalyticsBatch(
                facts=(
                    jobs_pb2.MessageFact(
                        chat_id=message.chat_id,
                        seq=message.seq,
                        sender_id=message.sender_id,
                        type=message.type,
                        created_at_ms=message.created_at_ms,
                    )
                    for message in part
                )
            )
            outgoing.append(Outgoing(ANALYTICS, facts.SerializeToString()))
        await self._broker.publish_many(outgoing)

    @override
    async def notify(self, notifications: Sequence[Notification]) -> None:
        await self._broker.publish_many(
            [
                Outgoing(NOTIFICATION_SEND, _notification_batch(part).SerializeToString())
                for part in _within_limits(notifications)
            ]
        )


def _notification_batch(notifications: Sequence[Notification]) -> jobs_pb2.NotificationBatch:
    # Filled in place: made of finished parts, each part is copied twice, which takes twice as long.
    batch = jobs_pb2.NotificationBatch()
    for notification in notifications:
        if isinstance(notification, ReadUpTo):
            read = batch.notifications.add().read_up_to
            read.chat_id, read.user_id = notification.chat_id, notification.user_id
            read.seq = notification.seq
            continue
        new = batch.notifications.add().new_message
        new.type = _TYPES[notification.chat.type]
        new.message.CopyFrom(notification.message)
        if notification.traceparent:
            new.traceparent = notification.traceparent
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
