"""The queues of Parley, their delayed retries and their dead-letter queues.

- Seven work queues. A message that cannot be handled moves to ``<queue>.dead``, the reason in its headers.
- Retry tiers, shared by all queues: a fanout exchange and a queue of the same name whose messages expire
  after the tier's delay. Publishing to the exchange with the work queue's name as routing key keeps that key,
  and an expired message goes through the default exchange to the queue that the key names. Tiers of one delay
  each, because a queue expires messages at its head only: one long delay would hold up every short one behind
  it.
- A queue that proves that the broker keeps what it is given, see ``Session.renew``. It holds one message.
- Quorum queues with at-least-once dead-lettering: the broker removes a message here only when it is safe
  there (RabbitMQ, "Quorum Queues", "Dead letter strategy"); it needs ``reject-publish`` as the overflow.
"""

from dataclasses import dataclass
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue
from pamqp.common import Arguments, FieldValue

MESSAGE_PERSIST: Final = "message-persist"
MESSAGE_READ: Final = "message-read"
NOTIFICATION_SEND: Final = "notification-send"
MESSAGE_INDEX: Final = "message-index"
ANALYTICS: Final = "analytics"
EMAIL_SEND: Final = "email-send"
EVENT_HOOKS: Final = "event-hooks"

QUEUES: Final = (
    MESSAGE_PERSIST,
    MESSAGE_READ,
    NOTIFICATION_SEND,
    MESSAGE_INDEX,
    ANALYTICS,
    EMAIL_SEND,
    EVENT_HOOKS,
)

PROOF: Final = "parley.proof"
"""A quorum queue like the others, that nobody reads."""

# The net under a message that kills its consumer each time, before any code can count the attempt. High,
# because a restart of a healthy consumer also returns what it had fetched.
_DELIVERY_LIMIT: Final = 20


def dead_queue(queue: str) -> str:
    """Where the messages of ``queue`` go that cannot be handled."""
    return f"{queue}.dead"


@dataclass(frozen=True, slots=True)
class RetryTier:
    """One delay. ``name`` is both the exchange and the queue."""

    name: str
    delay_ms: int


RETRY_TIERS: Final = (
    RetryTier("parley.retry.5s", 5_000),
    RetryTier("parley.retry.30s", 30_000),
    RetryTier("parley.retry.2m", 120_000),
    RetryTier("parley.retry.10m", 600_000),
)


@dataclass(frozen=True, slots=True)
class Topology:
    """Which queues exist and how long retries wait. Tests make one of their own with short delays."""

    queues: tuple[str, ...] = QUEUES
    retry_tiers: tuple[RetryTier, ...] = RETRY_TIERS
    delivery_limit: int = _DELIVERY_LIMIT

    async def declare(self, channel: AbstractChannel) -> None:
        """Declares everything; what exists already with the same arguments stays as it is.

        Raises:
            aio_pika.exceptions.ChannelPreconditionFailed: a queue exists with other arguments.
        """
        for queue in self.queues:
            await self.declare_queue(channel, queue)
        await channel.declare_queue(PROOF, durable=True, arguments={**_QUORUM, "x-max-length": 1})
        for tier in self.retry_tiers:
            exchange = await channel.declare_exchange(tier.name, aio_pika.ExchangeType.FANOUT, durable=True)
            retry = await channel.declare_queue(tier.name, durable=True, arguments=_tier_arguments(tier))
            await retry.bind(exchange)

    async def declare_queue(self, channel: AbstractChannel, queue: str) -> AbstractQueue:
        """Declares one work queue with its dead-letter queue; raises as ``declare`` does."""
        await channel.declare_queue(dead_queue(queue), durable=True, arguments=_QUORUM)
        return await channel.declare_queue(queue, durable=True, arguments=self._work_arguments(queue))

    def _work_arguments(self, queue: str) -> Arguments:
        return {
            **_QUORUM,
            **_SAFE_DEAD_LETTERING,
            "x-delivery-limit": self.delivery_limit,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead_queue(queue),
        }


_QUORUM: Final[dict[str, FieldValue]] = {"x-queue-type": "quorum"}
_SAFE_DEAD_LETTERING: Final[dict[str, FieldValue]] = {
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


def _tier_arguments(tier: RetryTier) -> Arguments:
    return {
        **_QUORUM,
        **_SAFE_DEAD_LETTERING,
        "x-message-ttl": tier.delay_ms,
        "x-dead-letter-exchange": "",
    }
