"""`stats`: what waits where, and how much there is. Reads counters; costs the servers next to nothing."""

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.exceptions import RedisError

from admin.broker import open_broker
from admin.command import DONE, Command
from admin.mongo import open_mongo
from admin.output import json_option, table, tell
from admin.schemas import schemas
from admin.settings import StatsSettings
from chat_service.adapters.redis import keys
from mesh.amqp.topology import QUEUES, RETRY_TIERS, dead_queue
from mesh.clock import now_ms
from mesh.errors import unavailable
from mesh.redis import open_redis
from mesh.settings import load

Row = Mapping[str, Any]

_QUEUE_COLUMNS: Final = ("queue", "waiting", "consumers", "dead")
_COLLECTION_COLUMNS: Final = ("database", "collection", "documents")


def _add_arguments(parser: ArgumentParser) -> None:
    json_option(parser)


async def _run(options: Namespace) -> int:
    settings = load(StatsSettings)
    queues, live, collections = await asyncio.gather(
        _queues(settings), _live(settings), _collections(settings)
    )
    document = {"queues": queues, "live": live, "collections": collections}
    tell(document, lambda: _text(queues, live, collections), as_json=options.json)
    return DONE


async def _queues(settings: StatsSettings) -> list[Row]:
    """Those of work with their dead letters, then what waits to be tried again. None: no such queue."""
    rows: list[Row] = []
    async with open_broker(settings.amqp_url) as broker:
        for queue in (*QUEUES, *(tier.name for tier in RETRY_TIERS)):
            state = await broker.look(queue)
            dead = await broker.look(dead_queue(queue)) if queue in QUEUES else None
            rows.append(
                {
                    "queue": queue,
                    "waiting": state and state.messages,
                    "consumers": state and state.consumers,
                    "dead": dead and dead.messages,
                }
            )
    return rows


async def _live(settings: StatsSettings) -> Row:
    """What is unsettled in Redis: chats with entries that the broker may lack, and users who are there."""
    try:
        async with open_redis(settings.redis_url) as redis:
            chats = int(await redis.zcard(keys.OUTBOX_INDEX))
            oldest: Any = await redis.zrange(keys.OUTBOX_INDEX, 0, 0, withscores=True)
            users = int(await redis.zcard(keys.PRESENCE_INDEX))
    except RedisError as error:
        raise unavailable("redis", f"redis: {error}") from error
    age = max(0, now_ms() - int(oldest[0][1])) / 1000 if oldest else None
    return {"outboxChats": chats, "outboxOldestSeconds": age, "onlineUsers": users}


async def _collections(settings: StatsSettings) -> list[Row]:
    rows: list[Row] = []
    async with open_mongo(settings.mongo_url) as client:
        for schema in schemas(settings):
            database = client[schema.database]
            rows += [
                {
                    "database": schema.database,
                    "collection": name,
                    "documents": await database[name].estimated_document_count(),
                }
                for name in sorted(await database.list_collection_names())
            ]
    return rows


def _text(queues: Sequence[Row], live: Row, collections: Sequence[Row]) -> str:
    oldest = live["outboxOldestSeconds"]
    return "\n\n".join(
        (
            table(_QUEUE_COLUMNS, queues),
            f"chats with an outbox: {live['outboxChats']}"
            + (f", the oldest touched {oldest:.1f} s ago" if oldest is not None else "")
            + f"\nusers online: {live['onlineUsers']}",
            table(_COLLECTION_COLUMNS, collections),
        )
    )


COMMAND: Final = Command("stats", "what waits where, and how much there is", _add_arguments, _run)
