"""``Presence`` on Redis.

A user is in ``presence:index`` for as long as others believe the user is online: from the first session until
``departed`` tells the end. So a page that is loaded again, or an edge that dies and whose clients come back
elsewhere, shows nobody a flicker.
"""

from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from typing_extensions import override

from chat_service.adapters.redis import keys, scripts
from chat_service.domain.model import Session
from chat_service.ports.sessions import Presence
from mesh.clock import now_ms
from mesh.errors import ResourceExhausted
from mesh.redis import redis_errors
from parley.common.v1.error_pb2 import ErrorReason

SESSION_SECONDS: Final = 300


class RedisPresence(Presence):
    """The ``Presence`` port; ``grace_ms`` pass between a user's last session and the news that it is over."""

    def __init__(self, redis: Redis, *, sessions_per_user: int, grace_ms: int) -> None:
        self._redis = redis
        self._limit = sessions_per_user
        self._grace_ms = grace_ms

    @override
    async def open(self, session: Session) -> bool:
        if not (await self._keep([session], self._limit))[0]:
            raise ResourceExhausted(
                ErrorReason.ERROR_REASON_TOO_MANY_CONNECTIONS,
                f"a user may have {self._limit} live connections",
            )
        return bool(await self._index([session]))

    @override
    async def renew(self, sessions: Sequence[Session]) -> list[str]:
        await self._keep(sessions, 0)
        return await self._index(sessions)

    @override
    async def close(self, session: Session) -> None:
        at_ms = now_ms()
        left = await scripts.run_one(
            self._redis,
            scripts.CLOSE_SESSION,
            (keys.sessions(session.user_id), keys.online(session.user_id)),
            session.connection_id,
            at_ms,
        )
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                if session.edge_id:
                    pipe.hdel(keys.edge_sessions(session.edge_id), session.connection_id)
                if left == 0:
                    # Also if Redis had forgotten the user: others may believe it online.
                    pipe.zadd(keys.PRESENCE_INDEX, {session.user_id: at_ms + self._grace_ms})
                await pipe.execute()

    @override
    async def departed(self, limit: int) -> list[str]:
        at_ms = now_ms()
        with redis_errors():
            due: Any = await self._redis.zrange(
                keys.PRESENCE_INDEX, "-inf", at_ms, byscore=True, offset=0, num=limit, withscores=True
            )
            users = [(user_id.decode(), int(score)) for user_id, score in due]
            async with self._redis.pipeline(transaction=False) as pipe:
                for user_id, _ in users:
                    pipe.zrange(
                        keys.sessions(user_id),
                        "+inf",
                        at_ms,
                        desc=True,
                        byscore=True,
                        offset=0,
                        num=1,
                        withscores=True,
                    )
                last_sessions: list[list[tuple[bytes, float]]] = await pipe.execute()
        back = {user: int(last[0][1]) for (user, _), last in zip(users, last_sessions, strict=True) if last}
        if back:
            with redis_errors():
                await self._redis.zadd(keys.PRESENCE_INDEX, back, xx=True)
        gone = [(user_id, score) for user_id, score in users if user_id not in back]
        # A user who came back since the look moved the score: then the removal does nothing. And of several
        # processes that look at once, the removal succeeds for one.
        removed = await scripts.run(
            self._redis,
            [scripts.Call(scripts.REMOVE_UNLESS_TOUCHED, (keys.PRESENCE_INDEX,), pair) for pair in gone],
        )
        return [user_id for (user_id, _), answer in zip(gone, removed, strict=True) if answer == 1]

    @override
    async def online(self, user_ids: Sequence[str]) -> list[str]:
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for user_id in user_ids:
                    pipe.exists(keys.online(user_id))
                answers: list[Any] = await pipe.execute()
        return [user_id for user_id, answer in zip(user_ids, answers, strict=True) if answer]

    @override
    async def sessions(self, user_id: str) -> list[str]:
        with redis_errors():
            live: Any = await self._redis.zrange(keys.sessions(user_id), f"({now_ms()}", "+inf", byscore=True)
        return [connection_id.decode() for connection_id in live]

    async def _keep(self, sessions: Sequence[Session], limit: int) -> list[bool]:
        at_ms = now_ms()
        answers = await scripts.run(
            self._redis,
            [
                scripts.Call(
                    scripts.OPEN_SESSION,
                    (keys.sessions(session.user_id), keys.online(session.user_id)),
                    (
                        session.connection_id,
                        at_ms,
                        SESSION_SECONDS,
                        limit,
                        session.last_active_ms,
                        int(session.partial),
                    ),
                )
                for session in sessions
            ],
        )
        return [answer == 1 for answer in answers]

    async def _index(self, sessions: Sequence[Session]) -> list[str]:
        expires_ms = now_ms() + SESSION_SECONDS * 1_000
        user_ids = list(dict.fromkeys(session.user_id for session in sessions))
        held: dict[str, dict[Any, Any]] = {}
        for session in sessions:
            if session.edge_id:
                held.setdefault(session.edge_id, {})[session.connection_id] = session.user_id
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for user_id in user_ids:
                    pipe.zadd(keys.PRESENCE_INDEX, {user_id: expires_ms})
                for edge_id, connections in held.items():
                    pipe.hset(keys.edge_sessions(edge_id), mapping=connections)
                    pipe.expire(keys.edge_sessions(edge_id), SESSION_SECONDS)
                added: list[int] = await pipe.execute()
        return [user_id for user_id, answer in zip(user_ids, added, strict=False) if answer]
