"""The rate limits of the actions that come one by one."""

from chat_service.ports import RateLimiter
from mesh.errors import ResourceExhausted
from parley.common.v1.error_pb2 import ErrorReason

CREATE = "create"
"""Making chats, direct ones and groups alike."""


class Throttle:
    """The rate limits of the actions that come one by one."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    async def check(self, action: str, user_id: str) -> None:
        """Takes one token.

        Raises:
            ResourceExhausted: RATE_LIMITED.
            Unavailable: Redis is down.
        """
        granted, retry_after_ms = (await self._limiter.take(action, {user_id: 1}))[user_id]
        if not granted:
            raise ResourceExhausted(
                ErrorReason.ERROR_REASON_RATE_LIMITED,
                f"too many {action} actions",
                retry_after_ms=retry_after_ms,
            )
