"""Who is online, as chat_service keeps it in Redis: ``user:{<userId>}:online``."""

from collections.abc import Sequence

from redis.asyncio import Redis

from mesh.errors import Unavailable
from mesh.logs import get_logger
from mesh.redis import redis_errors

_log = get_logger()


class RedisPresence:
    """``ports.Presence``."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def absent(self, user_ids: Sequence[str]) -> list[str]:
        """As the port says: a notification too many is better than one that never comes."""
        try:
            with redis_errors():
                async with self._redis.pipeline(transaction=False) as pipe:
                    for user_id in user_ids:
                        pipe.exists(f"user:{{{user_id}}}:online")
                    online = await pipe.execute()
        except Unavailable as error:
            _log.warning("presence.unknown", users=len(user_ids), error=error.message)
            return list(user_ids)
        return [user_id for user_id, is_online in zip(user_ids, online, strict=True) if not is_online]
