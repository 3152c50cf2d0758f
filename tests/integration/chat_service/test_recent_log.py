"""Reading the recent log on a real Redis: what was asked for, at the price of what was asked for."""

import pytest
from redis.asyncio import Redis

from chat_service.adapters.redis import keys
from chat_service.adapters.redis.chat_log import RedisChatLog, Retention
from chat_service.adapters.redis.recent_log import RedisRecentLog
from chat_service.domain.events import members_added, message_sent
from chat_service.domain.model import Member, Role, Send
from chat_service.ports.log import MembersNow, Taken
from mesh.errors import NotFound, ResourceExhausted
from mesh.ids import new_object_id
from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.message_pb2 import Message
from tests.integration.chat_service.scaffold import World, open_world
from tests.integration.persist_service.conftest import Servers

CHAT = "65a1b2c3d4e5f60718293a4b"
LONG = "\N{GRINNING FACE}" * 4_096  # the longest content there may be, 16 KiB


@pytest.fixture
async def log(redis: Redis) -> RedisChatLog:
    log = RedisChatLog(redis, Retention(recent_entries=200))
    await log.begin(CHAT, {"alice": Role.ADMIN}, 1)
    return log


@pytest.fixture
def recent(redis: Redis) -> RedisRecentLog:
    return RedisRecentLog(redis, seconds=60)


async def send(log: RedisChatLog, count: int, content: str = "hello") -> list[str]:
    """Ids of new messages, in order."""
    said = [
        Message(sender_id="alice", chat_id=CHAT, content=content, client_msg_id=new_object_id())
        for _ in range(count)
    ]
    sends = [Send(message_sent(item, 1_700_000_000_000)) for item in said]
    for start in range(0, count, 50):
        assert all(isinstance(item, Taken) for item in await log.accept(sends[start : start + 50]))
    return [send.event.id for send in sends]


async def change(log: RedisChatLog, count: int) -> None:
    for number in range(count):
        user = f"member-{number}"
        added = members_added(CHAT, "alice", [Member(user, Role.MEMBER, 1)], 1)
        members = MembersNow(number + 2, {user: Role.MEMBER}, joined=[user])
        assert await log.append(added, members) is not None


async def sent_by(redis: Redis) -> int:
    """Bytes that this Redis has sent to all of its clients so far."""
    return int((await redis.info("stats"))["total_net_output_bytes"])


async def test_messages_among_changes_are_found_by_position_and_by_number(
    log: RedisChatLog, recent: RedisRecentLog
) -> None:
    await send(log, 3)  # 1 to 3
    await change(log, 30)  # 4 to 33
    await send(log, 2)  # 34, 35, with the numbers 4 and 5
    await change(log, 4)

    async def found(count: int, **bounds: int) -> tuple[list[int], bool]:
        page = await recent.newest(CHAT, count, **bounds)
        return [message.seq for message in page.messages], page.whole

    assert await found(2) == ([35, 34], False)
    assert await found(3) == ([35, 34, 3], False)
    assert await found(5) == ([35, 34, 3, 2, 1], True)
    assert await found(9) == ([35, 34, 3, 2, 1], True)
    assert await found(2, below_seq=34) == ([3, 2], False)
    assert await found(2, below_seq=2) == ([1], True)
    assert await found(2, below_seq=1) == ([], True)
    for top in (0, 39 - 5 + 4):
        assert await found(2, below_number=5, upto_seq=top) == ([34, 3], False)
    assert await found(1, below_number=1, upto_seq=34) == ([], True)
    assert await recent.at(CHAT, 30) == (30, 3, "")
    assert await recent.at(CHAT, 1_000) == (39, 5, "")


async def test_what_was_trimmed_is_not_taken_for_the_beginning(
    redis: Redis, log: RedisChatLog, recent: RedisRecentLog
) -> None:
    await send(log, 20)
    await redis.xtrim(keys.log(CHAT), maxlen=5, approximate=False)
    page = await recent.newest(CHAT, 9)
    assert ([message.seq for message in page.messages], page.whole) == ([20, 19, 18, 17, 16], False)
    assert await recent.newest(CHAT, 9, below_seq=16) == await recent.newest(CHAT, 9, below_seq=3)
    assert not (await recent.newest(CHAT, 9, below_seq=16)).whole
    assert await recent.at(CHAT, 15) == (15, 15, "")
    assert await recent.at(CHAT, 14) is None


async def test_a_read_moves_about_what_was_asked_for(
    redis: Redis, log: RedisChatLog, recent: RedisRecentLog
) -> None:
    first, *_ = await send(log, 200, LONG)
    one = len(LONG.encode())
    for read, entries in (
        (recent.newest(CHAT, 1), 1),
        (recent.newest(CHAT, 2, below_seq=100), 2),
        (recent.newest(CHAT, 2, below_number=100, upto_seq=99), 2),
        (recent.at(CHAT, 100), 1),
        (recent.find(CHAT, new_object_id()), 0),
        (recent.find(CHAT, first), 1),
    ):
        before = await sent_by(redis)
        await read
        assert await sent_by(redis) - before < (entries + 1) * one


async def test_a_message_is_found_by_its_id_and_not_by_content_that_looks_like_it(
    log: RedisChatLog, recent: RedisRecentLog
) -> None:
    wanted, *_ = await send(log, 40)
    await send(log, 40, f"\n\x18{wanted}")
    found = await recent.find(CHAT, wanted)
    assert found is not None
    assert found.seq == 1
    assert await recent.find_latest(CHAT, wanted) is None
    assert await recent.find(CHAT, new_object_id()) is None


async def mark(world: World, chat_id: str, message_id: str) -> pb.MarkReadResponse:
    return await world.chat.MarkRead(
        pb.MarkReadRequest(user_id="bob", chat_id=chat_id, message_id=message_id)
    )


async def test_a_message_that_is_not_stored_yet_can_be_read_up_to(world: World) -> None:
    chat_id = await world.direct()
    first = (await world.send(chat_id)).accepted
    await world.fill(chat_id, 60)
    await world.stored(chat_id, 61)
    world.persist.db.messages.delete_one({"seq": 1})  # as it is before the store has it
    answer = await mark(world, chat_id, first.message_id)
    assert (answer.seq, answer.unread) == (1, 60)


async def test_marking_unknown_messages_as_read_costs_no_log_and_soon_nothing(servers: Servers) -> None:
    async with open_world(servers, chat_read_rate=1e-3, chat_read_burst=10) as world:
        chat_id = await world.direct()
        for _ in range(100):
            await world.send(chat_id, content=LONG)
        await world.stored(chat_id, 100)
        before = await sent_by(world.redis)
        for _ in range(5):  # each takes two
            with pytest.raises(NotFound):
                await mark(world, chat_id, new_object_id())
        with pytest.raises(ResourceExhausted):
            await mark(world, chat_id, new_object_id())
        assert await sent_by(world.redis) - before < 5 * 10 * len(LONG.encode())
