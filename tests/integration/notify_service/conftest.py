"""A whole notify_service on free ports, and what it takes to talk to it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import aio_pika
import pytest
from pydantic import SecretStr

from mesh.amqp.connection import Broker
from mesh.amqp.topology import NOTIFICATION_SEND, dead_queue
from mesh.ids import new_object_id
from mesh.lifecycle import Lifecycle
from mesh.rpc.channel import open_channel
from notify_service.app import serve
from notify_service.settings import NotifySettings
from parley.common.v1.message_pb2 import Message, MessageType
from parley.events.v1.jobs_pb2 import Notification, NotificationBatch, NotificationType
from parley.notify.v1 import notify_service_pb2 as pb
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

T = TypeVar("T")
SECRET = "a secret of the tests, 32 bytes and more"


@dataclass(frozen=True)
class Service:
    """A running service and a caller of it."""

    stub: NotifyServiceStub
    ports: Mapping[str, int]
    amqp_url: str

    async def publish(self, *jobs: Notification) -> None:
        """Puts one batch into the queue."""
        await self.publish_raw(NotificationBatch(notifications=jobs).SerializeToString())

    async def publish_raw(self, body: bytes) -> None:
        """Puts any bytes into the queue."""
        async with Broker(SecretStr(self.amqp_url), name="test") as broker:
            await broker.session()
            await broker.publish(NOTIFICATION_SEND, body)

    async def ledger(self, **query: Any) -> list[pb.LedgerEntry]:
        """What the ledger says."""
        answer: pb.ListLedgerResponse = await self.stub.ListLedger(pb.ListLedgerRequest(**query))
        return list(answer.entries)

    async def settled(self, count: int, **query: Any) -> list[pb.LedgerEntry]:
        """The ledger once it has `count` entries, none of them pending."""

        async def entries() -> list[pb.LedgerEntry] | None:
            found = await self.ledger(**query)
            done = len(found) >= count and all(entry.outcome != pb.OUTCOME_PENDING for entry in found)
            return found if done else None

        return await eventually(entries)


async def eventually(probe: Callable[[], Awaitable[T | None]], seconds: float = 20.0) -> T:
    """The first answer of `probe` that is something."""
    async with asyncio.timeout(seconds):
        while (answer := await probe()) is None:
            await asyncio.sleep(0.02)
        return answer


@asynccontextmanager
async def running(amqp_url: str, mongo_url: str, env: str = "development") -> AsyncIterator[Service]:
    """The service while entered."""
    settings = NotifySettings.model_validate(
        {
            "env": env,
            "service_secret": SECRET,
            "amqp_url": amqp_url,
            "mongo_url": mongo_url,
            "notify_port": 0,
            "notify_admin_port": 0,
        }
    )
    life = Lifecycle()
    try:
        ports = await serve(settings, life)
        channel = await life.enter(
            open_channel(
                f"127.0.0.1:{ports['grpc']}", caller="test", callee="notify", secret=SecretStr(SECRET)
            )
        )
        yield Service(NotifyServiceStub(channel), ports, amqp_url)
    finally:
        await life.close(15)


@pytest.fixture
async def service(amqp_url: str, mongo_url: str) -> AsyncIterator[Service]:
    """A service in development mode on the servers of the session."""
    async with running(amqp_url, mongo_url) as started:
        yield started


def job(user_id: str, **fields: Any) -> Notification:
    """A job about a new message, or about the one given."""
    chat_id = fields.pop("chat_id", None) or new_object_id()
    message_id = fields.pop("message_id", None) or new_object_id()
    defaults: dict[str, Any] = {
        "user_id": user_id,
        "type": NotificationType.NOTIFICATION_TYPE_DIRECT_MESSAGE,
        "chat_id": chat_id,
        "sender_id": "alice",
        "message": Message(
            id=message_id,
            chat_id=chat_id,
            type=MessageType.MESSAGE_TYPE_TEXT,
            content="hello",
            sender_id="alice",
        ),
    }
    return Notification(**(defaults | fields))


def new_user() -> str:
    """A user that no other test knows."""
    return f"user-{new_object_id()}"


async def dead_letters(amqp_url: str, containing: bytes) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """Takes the dead letters of notifications whose bodies contain something; waits for the first."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(dead_queue(NOTIFICATION_SEND), ensure=False)
        found: list[aio_pika.abc.AbstractIncomingMessage] = []

        async def take() -> bool | None:
            while message := await queue.get(fail=False, no_ack=True):
                if containing in message.body:
                    found.append(message)
            return True if found else None

        await eventually(take)
        return found
