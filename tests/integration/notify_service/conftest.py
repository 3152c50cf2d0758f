"""A whole notify_service on free ports, what it asks persist_service, and what it takes to talk to it."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import aio_pika
import httpx
import pytest
from pydantic import SecretStr

from mesh.amqp.connection import Broker
from mesh.amqp.topology import EVENT_HOOKS, NOTIFICATION_SEND, dead_queue
from mesh.clock import now_ms
from mesh.errors import unavailable
from mesh.ids import new_object_id
from mesh.lifecycle import Lifecycle
from mesh.rpc.channel import open_channel
from mesh.rpc.server import RpcServer
from notify_service.app import serve
from notify_service.settings import NotifySettings
from parley.common.v1.chat_pb2 import Chat, ChatType, Role
from parley.common.v1.message_pb2 import Message, MessageType
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import (
    EventBatch,
    NewMessage,
    Notification,
    NotificationBatch,
    NotificationType,
    ReadUpTo,
    Recipient,
)
from parley.notify.v1 import notify_service_pb2 as pb
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub
from parley.persist.v1 import persist_service_pb2 as persist_pb
from parley.persist.v1.persist_service_pb2_grpc import (
    PersistServiceServicer,
    add_PersistServiceServicer_to_server,
)
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

T = TypeVar("T")
SECRET = "a secret of the tests, 32 bytes and more"


class ScriptedPersist(PersistServiceServicer):
    """Says of every member what a test decides; by default nobody has seen anything."""

    def __init__(self) -> None:
        self.attention: dict[str, persist_pb.Attention] = {}
        """By user."""
        self.deleted: set[str] = set()
        self.last_active: dict[str, int] = {}
        """By user, for those who are connected."""
        self.said: dict[str, list[Message]] = {}
        """By chat."""
        self.down = False
        self.calls: Counter[str] = Counter()

    async def GetAttention(  # noqa: N802 - gRPC gives the name
        self,
        request: persist_pb.GetAttentionRequest,
        context: Any,  # noqa: ARG002
    ) -> persist_pb.GetAttentionResponse:
        """What the members know."""
        self._called("GetAttention")
        usual = persist_pb.Attention(role=Role.ROLE_MEMBER, unread=1)
        asked = {key.message_id for key in request.messages}
        return persist_pb.GetAttentionResponse(
            attentions=[self.attention.get(query.user_id, usual) for query in request.queries],
            deleted_message_ids=sorted(self.deleted & asked),
        )

    async def GetUnreadTotals(  # noqa: N802 - gRPC gives the name
        self,
        request: persist_pb.GetUnreadTotalsRequest,
        context: Any,  # noqa: ARG002
    ) -> persist_pb.GetUnreadTotalsResponse:
        """Seven for everybody, and two less for each chat that is left out."""
        self._called("GetUnreadTotals")
        return persist_pb.GetUnreadTotalsResponse(
            totals=[7 - 2 * len(query.without_chat_ids) for query in request.queries]
        )

    async def GetLastActive(  # noqa: N802 - gRPC gives the name
        self,
        request: persist_pb.GetLastActiveRequest,
        context: Any,  # noqa: ARG002
    ) -> persist_pb.GetLastActiveResponse:
        """What users did last."""
        self._called("GetLastActive")
        return persist_pb.GetLastActiveResponse(
            last_active_ms=[self.last_active.get(user_id, 0) for user_id in request.user_ids]
        )

    async def GetChats(  # noqa: N802 - gRPC gives the name
        self,
        request: persist_pb.GetChatsRequest,
        context: Any,  # noqa: ARG002
    ) -> persist_pb.GetChatsResponse:
        """All chats are direct ones."""
        self._called("GetChats")
        chats = [Chat(id=chat_id, type=ChatType.CHAT_TYPE_DIRECT) for chat_id in request.chat_ids]
        return persist_pb.GetChatsResponse(chats=chats)

    async def ListMessages(  # noqa: N802 - gRPC gives the name
        self,
        request: persist_pb.ListMessagesRequest,
        context: Any,  # noqa: ARG002
    ) -> persist_pb.ListMessagesResponse:
        """What was said last."""
        self._called("ListMessages")
        said = self.said.get(request.chat_id, [])
        return persist_pb.ListMessagesResponse(messages=said[: -request.limit - 1 : -1])

    async def GetUserNames(  # noqa: N802 - gRPC gives the name
        self,
        request: persist_pb.GetUserNamesRequest,
        context: Any,  # noqa: ARG002
    ) -> persist_pb.GetUserNamesResponse:
        """Everybody has a name."""
        self._called("GetUserNames")
        return persist_pb.GetUserNamesResponse(names=map(str.title, request.user_ids))

    def _called(self, method: str) -> None:
        self.calls[method] += 1
        if self.down:
            raise unavailable("mongodb")


@dataclass(frozen=True)
class Service:
    """A running service, a caller of it, and whom it asks."""

    stub: NotifyServiceStub
    ports: Mapping[str, int]
    amqp_url: str
    persist: ScriptedPersist

    async def publish(self, *jobs: Notification) -> None:
        """Puts one batch into the queue."""
        await self.publish_raw(NotificationBatch(notifications=jobs).SerializeToString())

    async def publish_raw(self, body: bytes, queue: str = NOTIFICATION_SEND) -> None:
        """Puts any bytes into the queue."""
        async with Broker(SecretStr(self.amqp_url), name="test", publish_timeout_seconds=30.0) as broker:
            await broker.session()
            await broker.publish(queue, body)

    async def removed(self, user: str, chat_id: str, seq: int) -> None:
        """Tells what the log of a chat says when an admin removes somebody."""
        event = ChatEvent(chat_id=chat_id, occurred_at_ms=now_ms(), epoch=1, seq=seq, number=seq)
        event.member_removed.actor_id, event.member_removed.user_id = "alice", user
        await self.publish_raw(EventBatch(events=[event]).SerializeToString(), EVENT_HOOKS)

    async def ledger(self, **query: Any) -> list[pb.LedgerEntry]:
        """What the ledger says."""
        answer: pb.ListLedgerResponse = await self.stub.ListLedger(pb.ListLedgerRequest(**query))
        return list(answer.entries)

    async def settled(self, count: int, **query: Any) -> list[pb.LedgerEntry]:
        """The ledger once it has `count` entries."""

        async def entries() -> list[pb.LedgerEntry] | None:
            found = await self.ledger(**query)
            return found if len(found) >= count else None

        return await eventually(entries)


async def serving(admin_port: int) -> None:
    """Returns once the service can do its work."""
    async with httpx.AsyncClient(trust_env=False) as client:

        async def ready() -> bool | None:
            answer = await client.get(f"http://127.0.0.1:{admin_port}/readyz")
            return True if answer.status_code == httpx.codes.OK else None

        await eventually(ready)


@asynccontextmanager
async def running(
    amqp_url: str, mongo_url: str, env: str = "development", **fields: Any
) -> AsyncIterator[Service]:
    """The service while entered, quick to tell, with these settings besides."""
    # The stubs call every method abstract; what is not asked for here need not be there.
    persist: ScriptedPersist = cast("Any", ScriptedPersist)()
    secret = SecretStr(SECRET)
    life = Lifecycle()
    try:
        server = await life.enter(RpcServer("persist", secret))
        server.add(add_PersistServiceServicer_to_server, persist)
        persist_port = await server.start("127.0.0.1", 0, field="persist_port")
        settings = NotifySettings.model_validate(
            {
                "env": env,
                "service_secret": SECRET,
                "amqp_url": amqp_url,
                "mongo_url": mongo_url,
                "persist_target": f"127.0.0.1:{persist_port}",
                "notify_port": 0,
                "notify_admin_port": 0,
                "notify_delay_seconds": 0.05,
                "notify_delay_max_seconds": 0.5,
                "notify_repeat_seconds": 0.1,
            }
            | fields
        )
        ports = await serve(settings, life)
        target = f"127.0.0.1:{ports['grpc']}"
        channel = await life.enter(open_channel(target, caller="test", callee="notify", secret=secret))
        await serving(ports["admin"])
        yield Service(NotifyServiceStub(channel), ports, amqp_url, persist)
    finally:
        await life.close(15)


@pytest.fixture
async def service(amqp_url: str, mongo_url: str) -> AsyncIterator[Service]:
    """A service in development mode on the servers of the session."""
    async with running(amqp_url, mongo_url) as started:
        yield started


def job(*users: str, last_active_ms: int = 0, **fields: Any) -> Notification:
    """A job about a new message, or about the one given, for users who are not there."""
    message: dict[str, Any] = {
        "id": new_object_id(),
        "chat_id": new_object_id(),
        "seq": 1,
        "type": MessageType.MESSAGE_TYPE_TEXT,
        "content": "hello",
        "sender_id": "alice",
        "created_at_ms": now_ms(),
    }
    kind = fields.pop("kind", NotificationType.NOTIFICATION_TYPE_DIRECT_MESSAGE)
    return Notification(
        new_message=NewMessage(
            type=kind,
            message=Message(**(message | fields)),
            sender_name="Alice",
            recipients=[Recipient(user_id=user, last_active_ms=last_active_ms) for user in users],
        )
    )


def read(user: str, chat_id: str, seq: int) -> Notification:
    """A job that says that the user has read on."""
    return Notification(read_up_to=ReadUpTo(chat_id=chat_id, user_id=user, seq=seq))


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
