"""``UserChannels`` on Redis pub/sub."""

from collections.abc import Mapping

from redis.asyncio import Redis
from typing_extensions import override

from chat_service import event_codec
from chat_service.adapters.redis import keys
from chat_service.domain.events import UserNews
from chat_service.ports.sessions import UserChannels
from mesh.clock import now_ms
from mesh.redis import redis_errors


class RedisUserChannels(UserChannels):
    """The ``UserChannels`` port."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @override
    async def publish(self, news: Mapping[str, UserNews]) -> None:
        events = event_codec.user_events(news, now_ms())
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for user_id, event in events.items():
                    pipe.publish(keys.user_channel(user_id), event)
                await pipe.execute()
