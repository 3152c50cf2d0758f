"""What it takes to look again at who was active; see `ports` for what holds of all stores."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from notify_service.domain.notification import Message
from notify_service.inbox.active_user import ActiveUser


class ActiveUserStore(Protocol):
    """Where it is kept who was taken for active."""

    async def arm(self, last_active: Mapping[str, int], due_ms: int) -> None:
        """Looks at these users at `due_ms` (Unix ms), or earlier where that was planned.

        Notes their activity. One round trip, idempotent.
        """
        ...

    async def claim(self, limit: int, at_ms: int) -> Sequence[ActiveUser]:
        """Takes users who are due, the longest due first; nobody else gets them for the next 60 s.

        What is neither settled nor put back comes up again after that time.
        """
        ...

    async def settle(self, users: Collection[ActiveUser]) -> None:
        """Forgets them, unless they were armed meanwhile. Idempotent."""
        ...

    async def put_back(self, users: Mapping[ActiveUser, int], last_active: Mapping[str, int]) -> None:
        """Looks again at the given times (Unix ms), in one round trip; notes activity as `arm` does."""
        ...


class Activity(Protocol):
    """Knows what users do; asked from the service that owns it."""

    async def last_active(self, user_ids: Collection[str]) -> Mapping[str, int]:
        """When a live connection of each user last did something (ms); 0 without one.

        Raises:
            Unavailable: that service, or Redis behind it, cannot be reached.
        """
        ...


class RecentMessages(Protocol):
    """Knows what was said last; asked from the service that owns it."""

    async def of_chats(self, chat_ids: Collection[str]) -> Mapping[str, Sequence[Message]]:
        """The last 20 messages of each chat that exists, the last first; raises as `Activity` does."""
        ...
