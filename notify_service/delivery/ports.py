"""What the engine that makes attempts needs of the store of deliveries; the rest is in `ports`.

Every method may wait for MongoDB for seconds, and raises `mesh.errors.Unavailable` when it cannot be reached;
then nothing is known about a write's effect, and repeating it is safe.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from notify_service.delivery.provider_limiter import Scope
from notify_service.domain.delivery import (
    Attempt,
    AttemptOutcome,
    Backlog,
    Delivery,
    Lane,
    NewDelivery,
    StoredDelivery,
)
from notify_service.ports import Deliveries


class DeliveryStore(Deliveries, Protocol):
    """Where deliveries are kept. Times are Unix milliseconds by the caller's clock.

    A delivery on its way is either free or held. Whoever holds it does so until a time; after that it is due
    again, for the holder may have died. Of each delivery one holder at most is within its time.
    """

    async def due(
        self, at_ms: int, limit: int, scope: Scope, lanes: Collection[Lane], *, take_over: bool
    ) -> list[Delivery]:
        """Deliveries of these lanes whose next attempt may begin, and whose time is not over.

        They come provider by provider, by name, for each the longest due first, or all the other way round,
        as the scope says. `take_over` includes those
        whose holder is past its time. Nothing is claimed yet.
        """
        ...

    async def expired(self, at_ms: int, limit: int, lanes: Collection[Lane]) -> list[Delivery]:
        """Deliveries whose time is over and that nobody works on; of any provider."""
        ...

    async def claim(
        self, deliveries: Sequence[Delivery], holder: str, at_ms: int, until_ms: int
    ) -> list[Delivery]:
        """Takes those of them that nobody took since they were read, and counts the attempt."""
        ...

    async def hold(self, deliveries: Sequence[Delivery], holder: str, until_ms: int) -> None:
        """Moves the end of a claim."""
        ...

    async def release(self, deliveries: Sequence[Delivery], holder: str, due_ms: int) -> None:
        """Gives them back: the attempt was not made and does not count."""
        ...

    async def record(self, attempts: Sequence[Attempt], holder: str) -> None:
        """Stores how attempts ended.

        What was settled is settled, even if the claim had run out. One that is to be tried again is then left
        alone: it is another holder's.
        """
        ...


class DeliveryCare(Protocol):
    """What is done for deliveries now and then."""

    async def forget_contents(self, at_ms: int) -> int:
        """Removes the content of those that were kept for a replay and are no more; how many they were."""
        ...

    async def backlog(self, count_up_to: int) -> Mapping[Lane, Backlog]:
        """What waits, for every lane."""
        ...


class DeliveryLog(Protocol):
    """Looks deliveries up, and acts for the target as a whole."""

    async def is_waiting(self, user_id: str, message_id: str) -> bool:
        """Whether any delivery of this message to this user is on its way."""
        ...

    async def of_target(
        self, target_id: str, outcome: AttemptOutcome | None, limit: int, *, waiting: bool = False
    ) -> list[StoredDelivery]:
        """Deliveries of the lane `HOOK` to this target, the newest first.

        Only those on their way with `waiting`, else those with the outcome, or all of them for None.
        """
        ...

    async def replay(self, target_id: str, delivery_id: str, at_ms: int, expires_at_ms: int) -> bool:
        """Puts a settled delivery of the target on its way again, under its first id; what waits is due now.

        False when there is none, or its content is no longer kept.
        """
        ...

    async def revive(self, deliveries: Sequence[NewDelivery]) -> None:
        """Adds them, and puts those on their way again, under their first ids, whose key was given up.

        What is on its way or was sent stays as it is. Idempotent.
        """
        ...

    async def give_up(self, target_id: str, detail: str, at_ms: int) -> int:
        """Settles what waits for the target as `FAILED`, with no further attempt; how many they were."""
        ...
