"""What follows from stored messages: jobs to index, to count and to notify."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from mesh.amqp.connection import Broker, Outgoing
from mesh.amqp.topology import ANALYTICS, MESSAGE_INDEX, NOTIFICATION_SEND
from parley.events.v1 import jobs_pb2
from persist_service.codec import message_to_proto
from persist_service.domain.chats import ChatType
from persist_service.domain.log import Message
from persist_service.ports import Notification

# Limits of the contract (jobs.proto).
_MESSAGES_AT_ONCE: Final = 64
_NOTIFICATIONS_AT_ONCE: Final = 500

_TYPES: Final = {
    ChatType.DIRECT: jobs_pb2.NOTIFICATION_TYPE_DIRECT_MESSAGE,
    ChatType.GROUP: jobs_pb2.NOTIFICATION_TYPE_GROUP_MESSAGE,
}
T = TypeVar("T")


class BrokerFollowUps:
    """``ports.FollowUps``; raises ``Unavailable`` naming ``rabbitmq``."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def stored(self, messages: Sequence[Message]) -> None:
        """As the port says."""
        outgoing: list[Outgoing] = []
        for part in _parts(messages, _MESSAGES_AT_ONCE):
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
                Outgoing(NOTIFICATION_SEND, _batch(part).SerializeToString())
                for part in _parts(notifications, _NOTIFICATIONS_AT_ONCE)
            ]
        )


def _batch(notifications: Sequence[Notification]) -> jobs_pb2.NotificationBatch:
    return jobs_pb2.NotificationBatch(
        notifications=(
            jobs_pb2.Notification(
                user_id=notification.user_id,
                type=_TYPES[notification.chat.type],
                chat_id=notification.chat.id,
                message=message_to_proto(notification.message),
                sender_id=notification.message.sender_id,
                sender_name=notification.sender_name,
                chat_name=notification.chat.name,
            )
            for notification in notifications
        )
    )


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
