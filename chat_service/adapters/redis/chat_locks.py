"""``ChatLocks`` on Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import LockError

from chat_service.adapters.redis import keys
from mesh.errors import ResourceExhausted
from mesh.logs import get_logger
from mesh.redis import redis_errors
from parley.common.v1.error_pb2 import ErrorReason

_LOST_AFTER_SECONDS: Final = 30.0
_WAIT_SECONDS: Final = 3.0
_RETRY_AFTER_MS: Final = 500

_log = get_logger()


class RedisChatLocks:
    """The ``ChatLocks`` port. A holder that dies loses its lock after 30 s."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @asynccontextmanager
    async def hold(self, chat_id: str) -> AsyncIterator[None]:
        """As the port says."""
        lock = self._redis.lock(
            keys.membership_lock(chat_id), timeout=_LOST_AFTER_SECONDS, blocking_timeout=_WAIT_SECONDS
        )
        with redis_errors():
            if not await lock.acquire():
                raise ResourceExhausted(
                    ErrorReason.ERROR_REASON_OVERLOADED,
                    "the members of this chat are being changed; try again",
                    retry_after_ms=_RETRY_AFTER_MS,
                )
        try:
            yield
        finally:
            try:
                with redis_errors():
                    await lock.release()
            except LockError:
                _log.warning("chat.lock_lost", chat_id=chat_id)
