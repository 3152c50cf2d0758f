"""What storing a message costs: persist_service from queue to confirmed follow-ups, and a plain insert_many.

The service is a process of its own; before it starts, all messages wait in `message-persist`, as after an
outage. It is timed from its first stored message until all queues that it consumes are empty, its CPU
likewise. The floor is a bare `insert_many` by PyMongo of the very documents that the service stored, in bulks
of 512, into another collection of the same server with the same indexes. Both write with w=majority and
j=true.

    python bench/bench_persist_consumer.py [--messages 10000] [--per-delivery 32] [--chats 50] [--online 1]
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.collection import Collection
from redis import Redis

from devstack.servers import MongoServer, RabbitMQServer, RedisServer
from mesh.amqp.connection import Broker
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import ANALYTICS, MESSAGE_INDEX, MESSAGE_PERSIST
from mesh.ids import new_object_id
from parley.common.v1.message_pb2 import Message, MessageType
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import PersistBatch
from persist_service.domain.chats import Chat
from persist_service.stores.chats import Chats
from persist_service.stores.indexes import INDEXES, make_indexes
from persist_service.stores.memberships import Memberships
from persist_service.stores.server import open_mongo

_ROOT = Path(__file__).parent.parent
_BULK = 512
_CONTENT = "x" * 100


@dataclass(frozen=True, slots=True)
class Cost:
    """What storing `messages` took."""

    messages: int
    seconds: float
    cpu_seconds: float

    def __str__(self) -> str:
        rate = self.messages / self.seconds
        return f"{rate:8.0f} messages/s   {self.cpu_seconds / self.messages * 1e6:7.1f} us CPU a message"


def _cpu_seconds(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


async def _make_chats(url: str, count: int) -> list[Chat]:
    async with open_mongo(SecretStr(url), "parley") as mongo:
        await mongo.prepare(partial(make_indexes, indexes=INDEXES))
        chats, memberships = Chats(mongo), Memberships(mongo)
        made = [(await chats.create_direct(f"a-{n}", f"b-{n}", 1))[0] for n in range(count)]
        for chat in made:
            await memberships.add(chat.id, chat.members)
        return made


def _deliveries(chats: list[Chat], count: int, per_delivery: int) -> Iterator[Outgoing]:
    events: list[ChatEvent] = []
    for n in range(count):
        chat, seq = chats[n % len(chats)], n // len(chats) + 1
        now = time.time_ns() // 1_000_000
        message = Message(
            id=new_object_id(),
            chat_id=chat.id,
            sender_id=chat.members[seq % 2].user_id,
            type=MessageType.MESSAGE_TYPE_TEXT,
            content=_CONTENT,
            client_msg_id=new_object_id(),
            created_at_ms=now,
        )
        events.append(
            ChatEvent(
                id=message.id,
                chat_id=chat.id,
                occurred_at_ms=now,
                epoch=1,
                seq=seq,
                number=seq,
                message=message,
            )
        )
        if len(events) == per_delivery or n == count - 1:
            yield Outgoing(MESSAGE_PERSIST, PersistBatch(events=events).SerializeToString())
            events = []


@asynccontextmanager
async def _service(**urls: str) -> AsyncIterator[int]:
    environment = {f"PARLEY_{name.upper()}_URL": url for name, url in urls.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "persist_service",
        cwd=_ROOT,
        env={
            **os.environ,
            "PYTHONPATH": f"{_ROOT}:{_ROOT / 'gen'}",
            "PARLEY_SERVICE_SECRET": "a secret for measurements only, 32 bytes",
            "PARLEY_PERSIST_PORT": "0",
            "PARLEY_PERSIST_ADMIN_PORT": "0",
            "PARLEY_LOG_LEVEL": "ERROR",
            **environment,
        },
    )
    try:
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _left(broker: Broker, *queues: str) -> int:
    session = await broker.session()
    async with await session.connection.channel() as channel:
        states = [(await channel.declare_queue(queue, passive=True)).declaration_result for queue in queues]
    return sum(state.message_count or 0 for state in states)


async def _measure_service(
    broker: Broker, messages: Collection[dict[str, Any]], count: int, **urls: str
) -> Cost:
    async with _service(**urls) as pid:
        while (already := messages.estimated_document_count()) == 0:  # noqa: ASYNC110 - MongoDB has no signal
            await asyncio.sleep(0.005)
        started, cpu = time.perf_counter(), _cpu_seconds(pid)
        while messages.estimated_document_count() < count:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
        while await _left(broker, MESSAGE_PERSIST, MESSAGE_INDEX, ANALYTICS):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
        return Cost(count - already, time.perf_counter() - started, _cpu_seconds(pid) - cpu)


def _measure_plain(client: MongoClient[dict[str, Any]]) -> Cost:
    documents = list(client.parley.messages.find())
    plain: Collection[dict[str, Any]] = client.plain.messages
    plain.create_indexes(list(INDEXES["messages"]))
    started, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(documents), _BULK):
        plain.insert_many(documents[start : start + _BULK], ordered=False)
    return Cost(len(documents), time.perf_counter() - started, time.process_time() - cpu)


async def _run(arguments: argparse.Namespace) -> None:
    with MongoServer() as mongo, RabbitMQServer() as rabbitmq, RedisServer() as redis:
        chats = await _make_chats(mongo.url, arguments.chats)
        if arguments.online:
            with Redis.from_url(redis.url) as client:
                for chat in chats:
                    for member in chat.members:
                        client.set(f"user:{{{member.user_id}}}:online", time.time_ns() // 1_000_000)
        with MongoClient[dict[str, Any]](mongo.url, w="majority", journal=True) as client:
            async with Broker(SecretStr(rabbitmq.url), name="bench") as broker:
                await broker.session()
                await broker.publish_many(
                    list(_deliveries(chats, arguments.messages, arguments.per_delivery))
                )
                service = await _measure_service(
                    broker,
                    client.parley.messages,
                    arguments.messages,
                    mongo=mongo.url,
                    amqp=rabbitmq.url,
                    redis=redis.url,
                )
            plain = _measure_plain(client)
    cpu_ratio = service.cpu_seconds / service.messages / (plain.cpu_seconds / plain.messages)
    time_ratio = service.seconds / service.messages / (plain.seconds / plain.messages)
    print(f"persist_service, with all that follows:              {service}")
    print(f"plain insert_many of the same documents:              {plain}")
    print(f"ratio of CPU {cpu_ratio:.2f}, of time {time_ratio:.2f}")


def main() -> None:
    """Measures once and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--per-delivery", type=int, default=32, help="events in one AMQP message, 1 to 64")
    parser.add_argument("--chats", type=int, default=50)
    parser.add_argument("--online", type=int, default=1, help="1: all members have a connection, 0: nobody")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
