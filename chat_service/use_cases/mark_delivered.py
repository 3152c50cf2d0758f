"""Messages reached connections of members."""

from collections.abc import Sequence

from chat_service.domain import rules
from chat_service.domain.model import Delivery, PointerMove
from chat_service.ports.broker import Broker
from chat_service.ports.log import ChatLog
from mesh.clock import now_ms


class MarkDelivered:
    """Messages reached connections of members."""

    def __init__(self, log: ChatLog, broker: Broker) -> None:
        self._log = log
        self._broker = broker

    async def __call__(self, deliveries: Sequence[Delivery]) -> None:
        """Moves pointers forward; what moved is published and made durable.

        Raises:
            Unavailable: Redis or RabbitMQ is down.
        """
        for delivery in deliveries:
            rules.check_chat_id(delivery.chat_id)
        moved = await self._log.advance_delivered(deliveries)
        at_ms = now_ms()
        moves = [
            PointerMove(delivery.chat_id, delivery.user_id, at_ms, delivered_seq=delivery.seq)
            for delivery, has_moved in zip(deliveries, moved, strict=True)
            if has_moved
        ]
        if moves:
            await self._broker.move_pointers(moves)
