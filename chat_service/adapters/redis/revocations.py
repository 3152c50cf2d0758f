"""``Revocations`` on Redis: what was revoked lately, and what the store said of it lately."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from typing_extensions import override

from chat_service.adapters.redis import keys, scripts
from chat_service.domain.model import Session
from chat_service.domain.revocation import Revocation
from chat_service.ports.sessions import Revocations
from mesh.clock import now_ms
from mesh.errors import ResourceExhausted
from mesh.redis import redis_errors
from parley.common.v1.error_pb2 import ErrorReason

# Well beyond the 300 s after which a session that is not renewed is over.
_SECONDS: Final = 3_600
# "Nothing was revoked" is believed for a shorter time: it is what a Redis that lost a revocation would say.
_NOTHING_SECONDS: Final = 60
_MOST_CONNECTIONS: Final = 100
_ALL: Final = "all"
_IAT: Final = "iat"


class RedisRevocations(Revocations):
    """The ``Revocations`` port. ``leeway_ms``: how far the clocks of those who make tokens may be off."""

    def __init__(self, redis: Redis, leeway_ms: int) -> None:
        self._redis = redis
        self._leeway_ms = leeway_ms

    @override
    async def revoke_tokens(self, user_id: str, at_ms: int) -> int:
        names = (keys.revoked(user_id), keys.fresh_token(user_id))
        return int(
            await scripts.run_one(self._redis, scripts.REVOKE, names, at_ms - self._leeway_ms, _SECONDS)
        )

    @override
    async def end_connection(self, session: Session) -> None:
        key = keys.revoked(session.user_id)
        with redis_errors():
            # A connection need not be known to be ended: Redis may have forgotten it. But not without limit.
            if await self._redis.hlen(key) > _MOST_CONNECTIONS:
                raise ResourceExhausted(
                    ErrorReason.ERROR_REASON_RATE_LIMITED,
                    f"more than {_MOST_CONNECTIONS} connections were ended within an hour; end all sessions",
                    retry_after_ms=_SECONDS * 1_000,
                )
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hset(key, _connection(session), now_ms())
                pipe.expire(key, _SECONDS)
                await pipe.execute()

    @override
    async def known(self, sessions: Sequence[Session]) -> list[Revocation]:
        oldest_fresh_ms = now_ms() - self._leeway_ms
        fresh = [session for session in sessions if session.token_issued_at_ms >= oldest_fresh_ms]
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for session in fresh:
                    # Noted before the question: what is let in now is known to the next revocation.
                    key = keys.fresh_token(session.user_id)
                    pipe.zadd(key, {_IAT: session.token_issued_at_ms}, gt=True)
                    # No token is further ahead than the leeway, so by then it is beyond doubt.
                    pipe.expire(key, 3 * self._leeway_ms // 1_000 + 1)
                for session in sessions:
                    pipe.hmget(keys.revoked(session.user_id), (_ALL, _connection(session)))
                answers: list[Any] = (await pipe.execute())[2 * len(fresh) :]
        return [
            Revocation(None if before_ms is None else int(before_ms), ended is not None)
            for before_ms, ended in answers
        ]

    @override
    async def remember(self, stored: Mapping[str, int]) -> None:
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for user_id, before_ms in stored.items():
                    pipe.hsetnx(keys.revoked(user_id), _ALL, str(before_ms))
                    if before_ms:
                        pipe.expire(keys.revoked(user_id), _SECONDS)
                    else:
                        pipe.expire(keys.revoked(user_id), _NOTHING_SECONDS, nx=True)
                await pipe.execute()


def _connection(session: Session) -> str:
    return f"connection:{session.connection_id}"
