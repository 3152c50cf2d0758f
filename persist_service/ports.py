"""What the use cases need of RabbitMQ. Each method raises ``Unavailable`` when that is down."""

from collections.abc import Sequence
from typing import Protocol

from persist_service.domain.log import LogEntry
from persist_service.domain.notifications import Notification


class Barrier(Protocol):
    """Between what was handed over before and what comes after."""

    async def wait(self) -> None:
        """Returns once everything is stored that was in ``message-persist`` when this was called.

        Raises:
            Unavailable: that took longer than 2 s, or a server is down.
        """


class FollowUps(Protocol):
    """Work for others that follows from what was stored. Returning means: confirmed by the broker."""

    async def stored(self, entries: Sequence[LogEntry]) -> None:
        """Asks for messages to be indexed and counted, and for integrators to be notified of every entry."""

    async def notify(self, notifications: Sequence[Notification]) -> None:
        """Tells notify_service. A notification names at most 500 recipients."""
