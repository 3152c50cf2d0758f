"""What the use cases of webhooks need of the outside world; see `ports` for what holds of all stores."""

from collections.abc import Sequence
from typing import Protocol

from notify_service.webhooks.event import DeadEvent
from notify_service.webhooks.subscription import Subscription, SubscriptionSpec


class SubscriptionStore(Protocol):
    """Where subscriptions are kept."""

    async def add(self, spec: SubscriptionSpec, secret: str, at_ms: int) -> Subscription:
        """Stores a new one."""
        ...

    async def list(self) -> list[Subscription]:
        """All of them, the oldest first, in one round trip."""
        ...

    async def replace(self, subscription_id: str, spec: SubscriptionSpec, at_ms: int) -> Subscription | None:
        """Replaces what it says; None when there is none with this id. Idempotent."""
        ...

    async def rotate(self, subscription_id: str, secret: str, at_ms: int) -> Subscription | None:
        """Puts a secret before the others; None when there is no subscription with this id."""
        ...

    async def disable(self, subscription_id: str, url: str, because: str, at_ms: int) -> bool:
        """Disables it; false when its URL is another by now, or it is disabled or gone already."""
        ...

    async def remove(self, subscription_id: str) -> bool:
        """Removes it; false when there is none with this id."""
        ...


class DeadEvents(Protocol):
    """Where events go that were given up."""

    async def bury(self, events: Sequence[DeadEvent]) -> None:
        """Returns when they are safe among the dead letters, each with its reason. Repeated, it adds others.

        Raises:
            Unavailable: the broker did not confirm.
        """
        ...
