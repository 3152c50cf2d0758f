"""The rate limits of the actions that come one by one."""

from chat_service.ports.rates import RateLimiter
from mesh.errors import ResourceExhausted
from parley.common.v1.error_pb2 import ErrorReason

CREATE = "create"
"""Making chats, direct ones and groups alike."""
JOIN = "join"
"""Naming chats, to join them or to read what was missed; an item is a chat."""
MEMBERS = "members"
"""Changing who is in a group; an item is a user who comes or goes."""


class Throttle:
    """The rate limits of the actions that come one by one."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    async def check(self, action: str, user_id: str, *, price: int = 1) -> None:
        """Takes ``price`` tokens, or none.

        Raises:
            ResourceExhausted: RATE_LIMITED.
            Unavailable: Redis is down.
        """
        grant = (await self._limiter.take(action, {user_id: 1}, price=price))[user_id]
        if not grant.count:
            raise ResourceExhausted(
                ErrorReason.ERROR_REASON_RATE_LIMITED,
                f"too many {action} actions",
                retry_after_ms=grant.retry_after_ms(),
            )
