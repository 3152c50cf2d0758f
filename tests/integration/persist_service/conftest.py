"""A whole persist_service on free ports, and what it takes to talk to it."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aio_pika
import httpx
import pytest
from bson import ObjectId
from pydantic import SecretStr
from pymongo import MongoClient

from mesh.amqp.connection import Broker
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import (
    ANALYTICS,
    EVENT_HOOKS,
    MESSAGE_INDEX,
    MESSAGE_PERSIST,
    MESSAGE_READ,
    NOTIFICATION_SEND,
    Topology,
    dead_queue,
)
from mesh.ids import new_object_id
from mesh.lifecycle import Lifecycle
from mesh.rpc.channel import open_channel
from parley.common.v1.chat_pb2 import Role
from parley.common.v1.message_pb2 import Message, MessageType
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import EventBatch, NotificationBatch, PersistBatch
from parley.persist.v1 import persist_service_pb2 as pb
from parley.persist.v1.persist_service_pb2_grpc import PersistServiceStub
from persist_service.app import serve
from persist_service.settings import PersistSettings
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from pymongo.database import Database

    from parley.common.v1.chat_pb2 import Chat
    from parley.events.v1.jobs_pb2 import NewMessage, ReadUpTo

SECRET = "a secret of the tests, 32 bytes and more"
_OWN_QUEUES = (MESSAGE_PERSIST, MESSAGE_READ, MESSAGE_INDEX, ANALYTICS)


@dataclass(frozen=True)
class Servers:
    """Addresses, and a database of the test's own."""

    amqp_url: str
    mongo_url: str
    redis_url: str
    database: str

    def environment(self, **more: Any) -> dict[str, Any]:
        """Settings by field."""
        return {
            "service_secret": SECRET,
            "amqp_url": self.amqp_url,
            "mongo_url": self.mongo_url,
            "redis_url": self.redis_url,
            "persist_database": self.database,
            "persist_port": 0,
            "persist_admin_port": 0,
            **more,
        }


@dataclass(frozen=True)
class Service:
    """A running service, its callers and its database."""

    stub: PersistServiceStub
    broker: Broker
    db: Database[dict[str, Any]]
    admin_port: int
    port: int

    async def publish(self, *events: ChatEvent) -> None:
        """Puts one batch into `message-persist`."""
        await self.broker.publish(MESSAGE_PERSIST, PersistBatch(events=events).SerializeToString())

    async def direct(self, user_id: str, peer_id: str) -> Chat:
        """The direct chat of two users."""
        answer = await self.stub.CreateDirectChat(
            pb.CreateDirectChatRequest(user_id=user_id, peer_id=peer_id)
        )
        return answer.chat

    async def group(self, *member_ids: str, chat_id: str = "", name: str = "group") -> Chat:
        """A group; the first member makes it."""
        maker, *others = member_ids
        request = pb.CreateGroupRequest(
            chat_id=chat_id or new_object_id(), user_id=maker, name=name, member_ids=others
        )
        return (await self.stub.CreateGroup(request)).chat

    def head(self, chat_id: str) -> pb.StoredHead:
        """Where the stored log ends."""
        chat = self.db.chats.find_one({"_id": ObjectId(chat_id)})
        assert chat is not None
        return pb.StoredHead(
            chat_id=chat_id,
            epoch=chat["epoch"],
            seq=chat["lastSeq"],
            number=chat["lastNumber"],
            member_count=chat["memberCount"],
        )

    async def stored(self, chat_id: str, seq: int) -> pb.StoredHead:
        """The head, once it has reached `seq`."""

        async def reached() -> pb.StoredHead | None:
            head = self.head(chat_id)
            return head if head.seq >= seq else None

        return await eventually(reached)

    async def history(self, chat_id: str, limit: int = 101, **bounds: int) -> list[Message]:
        """A page, the newest first."""
        request = pb.ListMessagesRequest(chat_id=chat_id, limit=limit, **bounds)
        return list((await self.stub.ListMessages(request)).messages)

    async def chats(self, user_id: str, limit: int = 1_000) -> dict[str, pb.UserChat]:
        """A user's chats by id."""
        answer = await self.stub.ListChats(pb.ListChatsRequest(user_id=user_id, limit=limit))
        return {mine.chat_id: mine for mine in answer.chats}

    async def members(self, chat_id: str, role: Role.ValueType = Role.ROLE_UNSPECIFIED) -> list[str]:
        """All members of a chat by joining, page by page."""
        found: list[str] = []
        request = pb.ListMembersRequest(chat_id=chat_id, role=role, limit=100)
        while True:
            answer = await self.stub.ListMembers(request)
            found += [member.user_id for member in answer.members]
            if not answer.next_cursor:
                return found
            request.cursor = answer.next_cursor

    async def taken(self, queue: str, count: int) -> list[aio_pika.abc.AbstractIncomingMessage]:
        """Takes `count` messages from a queue that this service does not consume; waits for them."""
        session = await self.broker.session()
        async with await session.connection.channel() as channel:
            source = await channel.get_queue(queue, ensure=False)
            found: list[aio_pika.abc.AbstractIncomingMessage] = []

            async def take() -> bool | None:
                while len(found) < count and (message := await source.get(fail=False, no_ack=True)):
                    found.append(message)
                return True if len(found) == count else None

            await eventually(take)
            return found

    async def notifications(self, recipients: int, reads: int) -> tuple[list[NewMessage], list[ReadUpTo]]:
        """What notify_service is told next, until so many recipients and reads were named."""
        news: list[NewMessage] = []
        read: list[ReadUpTo] = []
        while sum(len(one.recipients) for one in news) < recipients or len(read) < reads:
            [message] = await self.taken(NOTIFICATION_SEND, 1)
            batch = NotificationBatch.FromString(message.body).notifications
            assert 1 <= len(batch) <= 64
            assert sum(len(one.new_message.recipients) for one in batch) <= 500
            news += [one.new_message for one in batch if one.HasField("new_message")]
            read += [one.read_up_to for one in batch if one.HasField("read_up_to")]
        return news, read

    async def hook_events(self, count: int) -> list[ChatEvent]:
        """What integrators are told next."""
        found: list[ChatEvent] = []
        while len(found) < count:
            [message] = await self.taken(EVENT_HOOKS, 1)
            batch = EventBatch.FromString(message.body)
            assert 1 <= len(batch.events) <= 64
            found += batch.events
        return found


@dataclass
class Log:
    """Makes the events of one chat, in order, as chat_service does."""

    chat_id: str
    epoch: int = 1
    seq: int = 0
    number: int = 0
    sent: list[ChatEvent] = field(default_factory=list)

    def message(self, sender_id: str = "alice", **fields: Any) -> ChatEvent:
        """The next message."""
        self.seq, self.number = self.seq + 1, self.number + 1
        now = time.time_ns() // 1_000_000
        event = self._event(now)
        defaults: dict[str, Any] = {
            "id": event.id,
            "chat_id": self.chat_id,
            "sender_id": sender_id,
            "type": MessageType.MESSAGE_TYPE_TEXT,
            "content": f"message {self.number}",
            "client_msg_id": f"{self.epoch}-{self.seq}",
            "created_at_ms": now,
        }
        event.message.CopyFrom(Message(**(defaults | fields)))
        self.sent.append(event)
        return event

    def change(self, user_id: str = "carol") -> ChatEvent:
        """The next entry, no message."""
        self.seq += 1
        event = self._event(time.time_ns() // 1_000_000)
        event.member_removed.actor_id = event.member_removed.user_id = user_id
        return event

    def messages(self, count: int, sender_id: str = "alice") -> list[ChatEvent]:
        """The next messages."""
        return [self.message(sender_id) for _ in range(count)]

    def _event(self, now: int) -> ChatEvent:
        return ChatEvent(
            id=new_object_id(),
            chat_id=self.chat_id,
            occurred_at_ms=now,
            epoch=self.epoch,
            seq=self.seq,
            number=self.number,
        )


@asynccontextmanager
async def running(servers: Servers, **settings: Any) -> AsyncIterator[Service]:
    """The service while entered."""
    life = Lifecycle()
    try:
        # What it publishes is the load of a test: how fast the broker takes it here is no matter.
        broker = await life.enter(
            Broker(SecretStr(servers.amqp_url), name="test", publish_timeout_seconds=30.0)
        )
        ports = await serve(PersistSettings.model_validate(servers.environment(**settings)), life)
        channel = await life.enter(
            open_channel(
                f"127.0.0.1:{ports['grpc']}",
                caller="chat",
                callee="persist",
                secret=SecretStr(SECRET),
                default_deadline_seconds=20,
            )
        )
        await broker.session()
        with MongoClient[dict[str, Any]](servers.mongo_url, serverSelectionTimeoutMS=5_000) as client:
            yield Service(
                PersistServiceStub(channel), broker, client[servers.database], ports["admin"], ports["grpc"]
            )
    finally:
        await life.close(20)


async def serving(service: Service) -> None:
    """Returns once the service can do its work."""

    async with httpx.AsyncClient(trust_env=False) as client:

        async def ready() -> bool | None:
            answer = await client.get(f"http://127.0.0.1:{service.admin_port}/readyz")
            return True if answer.status_code == 200 else None

        await eventually(ready)


async def purge(amqp_url: str) -> None:
    """Empties the queues that this service reads and fills."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await Topology().declare(channel)
        for queue in (*_OWN_QUEUES, NOTIFICATION_SEND, EVENT_HOOKS):
            for name in (queue, dead_queue(queue)):
                await (await channel.get_queue(name, ensure=False)).purge()


@pytest.fixture
async def servers(
    amqp_url: str, mongo_url: str, redis_db: str, mongo_database: str
) -> AsyncIterator[Servers]:
    """The session's servers with empty queues, an empty Redis and an empty database."""
    await purge(amqp_url)
    yield Servers(amqp_url, mongo_url, redis_db, mongo_database)
    await purge(amqp_url)


@pytest.fixture
async def service(servers: Servers) -> AsyncIterator[Service]:
    """A ready service."""
    async with running(servers) as started:
        await serving(started)
        yield started


def batches(events: Iterable[ChatEvent], size: int) -> Iterator[Outgoing]:
    """Messages for `message-persist` with `size` events each."""
    queue = list(events)
    for start in range(0, len(queue), size):
        batch = PersistBatch(events=queue[start : start + size])
        yield Outgoing(MESSAGE_PERSIST, batch.SerializeToString())
