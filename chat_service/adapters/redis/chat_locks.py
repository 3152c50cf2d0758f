"""``ChatLocks`` on Redis: a lock and, before it, a queue."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from redis.asyncio import Redis
from typing_extensions import override

from chat_service.adapters.redis import keys, scripts
from chat_service.ports.members import ChatLocks
from mesh.errors import ResourceExhausted, Unavailable
from mesh.ids import new_object_id
from mesh.logs import get_logger
from parley.common.v1.error_pb2 import ErrorReason

_LOST_AFTER_MS: Final = 30_000
_WAIT_MS: Final = 3_000
_LONGEST_QUEUE: Final = 64  # more would not have their turn in time
_LOOK_SECONDS: Final = 0.01  # for each place in the queue: the next in turn looks often, the others seldom
_RETRY_AFTER_MS: Final = (500, 1_500)  # drawn from this span, so that a crowd does not come back at once

_log = get_logger()


class RedisChatLocks(ChatLocks):
    """The ``ChatLocks`` port. A holder that dies loses its lock after 30 s, one who waits after 3 s."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @override
    @asynccontextmanager
    async def hold(self, chat_id: str) -> AsyncIterator[None]:
        names = (keys.membership_lock(chat_id), keys.membership_queue(chat_id))
        token = new_object_id()
        try:
            await self._acquire(names, token)
        except BaseException:
            with suppress(Unavailable):  # then it ends by itself
                await scripts.run_one(self._redis, scripts.RELEASE_CHAT, names, token)
            raise
        try:
            yield
        finally:
            if not await scripts.run_one(self._redis, scripts.RELEASE_CHAT, names, token):
                _log.warning("chat.lock_lost", chat_id=chat_id)

    async def _acquire(self, names: Sequence[str], token: str) -> None:
        loop = asyncio.get_running_loop()
        gives_up_at = loop.time() + _WAIT_MS / 1_000
        while loop.time() < gives_up_at:
            place = await scripts.run_one(
                self._redis, scripts.HOLD_CHAT, names, token, _WAIT_MS, _LOST_AFTER_MS, _LONGEST_QUEUE
            )
            if place == 0:
                return
            if place < 0:
                break
            await asyncio.sleep(_LOOK_SECONDS * place)
        raise ResourceExhausted(
            ErrorReason.ERROR_REASON_OVERLOADED,
            "the members of this chat are being changed; try again",
            retry_after_ms=random.randint(*_RETRY_AFTER_MS),  # noqa: S311 - jitter, not a secret
        )
