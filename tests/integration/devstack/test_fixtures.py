"""The fixtures of tests/conftest.py give servers that real clients can use."""

from __future__ import annotations

from uuid import uuid4

import aio_pika
from motor.motor_asyncio import AsyncIOMotorClient
from redis.asyncio import Redis


async def test_redis_is_empty_and_usable(redis_db: str) -> None:
    async with Redis.from_url(redis_db) as client:
        assert await client.dbsize() == 0
        await client.set("key", "value")
        assert await client.get("key") == b"value"


async def test_rabbitmq_confirms_and_delivers(amqp_url: str) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        queue = await channel.declare_queue(f"test-{uuid4()}", exclusive=True)
        await channel.default_exchange.publish(aio_pika.Message(b"body"), routing_key=queue.name)
        message = await queue.get(timeout=5)
        assert message is not None
        assert message.body == b"body"


async def test_mongo_stores_in_a_database_of_the_tests_own(mongo_url: str, mongo_database: str) -> None:
    client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(mongo_url)
    try:
        collection = client[mongo_database]["things"]
        assert await collection.count_documents({}) == 0
        await collection.insert_one({"_id": 1})
        assert await collection.find_one({"_id": 1}) == {"_id": 1}
    finally:
        client.close()
