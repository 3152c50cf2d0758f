"""What chat_service measures of its sends and outboxes."""

from prometheus_client import REGISTRY
from redis.asyncio import Redis

from chat_service.adapters.redis import keys
from chat_service.adapters.redis.outbox import RedisOutbox
from chat_service.ports.log import OutboxSize
from chat_service.use_cases.watch_outbox import WatchOutbox
from mesh.clock import now_ms
from tests.integration.chat_service.scaffold import World

STAGES = ("charge", "mark", "accept", "confirm", "clear")


def stages() -> dict[str, float]:
    name = "parley_chat_send_stage_seconds_count"
    return {stage: REGISTRY.get_sample_value(name, {"stage": stage}) or 0.0 for stage in STAGES}


async def test_each_stage_of_a_send_is_measured_once_per_batch(world: World) -> None:
    chat_id = await world.direct()
    before = stages()
    await world.fill(chat_id, 50)
    assert {stage: count - before[stage] for stage, count in stages().items()} == dict.fromkeys(STAGES, 1)


async def test_what_is_left_in_the_outboxes_is_shown(redis_db: str) -> None:
    async with Redis.from_url(redis_db) as redis:
        outbox = RedisOutbox(redis)
        assert await outbox.size(10) == OutboxSize(chats=0, entries=0, oldest_ms=None)
        marked_at = now_ms() - 90_000
        await redis.zadd(keys.OUTBOX_INDEX, {"a" * 24: marked_at, "b" * 24: marked_at + 1_000})
        await redis.hset(keys.outbox("a" * 24), mapping={"1": b"x", "2": b"y"})
        await redis.hset(keys.outbox("b" * 24), mapping={"1": b"z"})
        assert await outbox.size(10) == OutboxSize(chats=2, entries=3, oldest_ms=marked_at)
        assert await outbox.size(1) == OutboxSize(chats=2, entries=2, oldest_ms=marked_at)

        await WatchOutbox(outbox, interval_seconds=1).look()
        shown = {
            name: REGISTRY.get_sample_value(f"parley_chat_outbox_{name}")
            for name in ("chats", "entries", "oldest_seconds")
        }
        age = shown.pop("oldest_seconds")
        assert shown == {"chats": 2, "entries": 3}
        assert age is not None
        assert 90 <= age < 120
