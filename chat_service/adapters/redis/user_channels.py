"""``UserChannels`` on Redis pub/sub."""

from collections.abc import Mapping

from redis.asyncio import Redis

from chat_service import event_wire
from chat_service.adapters.redis import keys
from chat_service.domain.events import UserNews
from mesh.clock import now_ms
from mesh.redis import redis_errors


class RedisUserChannels:
    """The ``UserChannels`` port."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def tell(self, news: Mapping[str, UserNews]) -> None:
        """As the port says."""
        at_ms = now_ms()
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for user_id, item in news.items():
                    pipe.publish(keys.user_channel(user_id), event_wire.user_event(user_id, item, at_ms))
                await pipe.execute()
