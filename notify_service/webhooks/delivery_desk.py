"""What became of events for a subscription, and sending them again."""

from itertools import chain

from contract import limits
from mesh.clock import now_ms
from mesh.errors import NotFound
from mesh.ids import is_object_id
from notify_service.delivery.ports import DeliveryLog
from notify_service.domain.limits import invalid
from notify_service.webhooks.hook_delivery import STORED_AS, HookDelivery, HookOutcome, shown
from notify_service.webhooks.known_subscriptions import KnownSubscriptions
from parley.common.v1.error_pb2 import ErrorReason


class HookDeliveryDesk:
    """Shows deliveries and replays them. Both methods raise `Unavailable` while MongoDB is away."""

    def __init__(self, known: KnownSubscriptions, deliveries: DeliveryLog, *, expire_seconds: float) -> None:
        self._known = known
        self._deliveries = deliveries
        self._expire_ms = round(expire_seconds * 1000)

    async def list(self, subscription_id: str, outcome: HookOutcome | None, limit: int) -> list[HookDelivery]:
        """The newest first; a limit of 0 stands for `limits.DEFAULT_RECORDS`.

        Raises:
            InvalidArgument: the limit is over `limits.RECORDS`.
            NotFound: SUBSCRIPTION_NOT_FOUND.
        """
        if not 0 <= limit <= limits.RECORDS:
            raise invalid(f"limit: must be 1 to {limits.RECORDS}")
        await self._require(subscription_id)
        limit = limit or limits.DEFAULT_RECORDS
        if outcome is None:
            found = await self._deliveries.of_target(subscription_id, None, limit)
        elif outcome is HookOutcome.PENDING:
            found = await self._deliveries.of_target(subscription_id, None, limit, waiting=True)
        else:
            parts = [
                await self._deliveries.of_target(subscription_id, stored, limit)
                for stored in STORED_AS[outcome]
            ]
            found = sorted(chain(*parts), key=lambda one: one.id, reverse=True)[:limit]
        return [shown(stored) for stored in found]

    async def replay(self, subscription_id: str, delivery_id: str) -> None:
        """Sends it again at once, under its first id, and from now on as long as a new one.

        Raises:
            NotFound: SUBSCRIPTION_NOT_FOUND; DELIVERY_NOT_FOUND, also when its content is no longer kept.
        """
        await self._require(subscription_id)
        at_ms = now_ms()
        found = is_object_id(delivery_id) and await self._deliveries.replay(
            subscription_id, delivery_id, at_ms, at_ms + self._expire_ms
        )
        if not found:
            raise NotFound(
                ErrorReason.ERROR_REASON_DELIVERY_NOT_FOUND,
                "the subscription has no such delivery, or its content is no longer kept",
            )

    async def _require(self, subscription_id: str) -> None:
        if await self._known.find(subscription_id) is None:
            raise NotFound(ErrorReason.ERROR_REASON_SUBSCRIPTION_NOT_FOUND, "there is no such subscription")
