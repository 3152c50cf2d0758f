"""Which channels an edge is subscribed to, as Redis sees it."""

import asyncio

from redis.asyncio import Redis

from edge.pubsub.channels import Channels
from edge.pubsub.subscriber import Subscriber, redis_connector


async def test_unwanted_channels_end_although_new_ones_keep_coming(redis_db: str) -> None:
    def ignore(*_: object) -> None:
        """Nothing is published here."""

    channels = Channels(linger_seconds=0.2)
    subscriber = Subscriber(channels, redis_connector(redis_db), on_message=ignore, on_gap=ignore)
    running = asyncio.create_task(subscriber.run())
    old = [f"old-{number}".encode() for number in range(20)]
    for channel in old:
        channels.acquire(channel)
    await channels.confirmed(old)
    channels.acquire(b"kept")
    for channel in old:
        channels.release(channel)
    async with Redis.from_url(redis_db) as redis, asyncio.timeout(30):
        number = 0
        while any(count for _, count in await redis.pubsub_numsub(*old)):
            channels.acquire(f"new-{(number := number + 1)}".encode())
            await asyncio.sleep(0.01)
        assert dict(await redis.pubsub_numsub("kept")) == {b"kept": 1}
    running.cancel()
    await asyncio.wait([running])
