"""A whole chat_service on a whole persist_service, and what it takes to talk to both."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from chat_service.adapters.redis import keys
from chat_service.app import serve
from chat_service.settings import ChatSettings
from mesh.errors import Unavailable
from mesh.lifecycle import Lifecycle
from mesh.redis import open_redis
from mesh.rpc.channel import open_channel
from parley.chat.v1 import chat_service_pb2 as pb
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from parley.common.v1.message_pb2 import MESSAGE_TYPE_TEXT, Message
from tests.integration.persist_service.conftest import SECRET, Servers, Service, running, serving
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from redis.asyncio import Redis


def send_item(
    chat_id: str,
    key: str,
    content: str = "hello",
    user_id: str = "alice",
    *,
    mentions: Sequence[str] = (),
    traceparent: str = "",
    read_seq: int | None = None,
) -> pb.SendItem:
    """A text to send."""
    message = Message(
        sender_id=user_id,
        chat_id=chat_id,
        type=MESSAGE_TYPE_TEXT,
        content=content,
        client_msg_id=key,
        mentions=mentions,
    )
    return pb.SendItem(message=message, traceparent=traceparent, read_seq=read_seq)


@dataclass
class World:
    """Two services, their servers, and their callers."""

    chat: ChatServiceStub
    persist: Service
    redis: Redis
    servers: Servers
    port: int
    sent: int = field(default=0)

    async def direct(self, user_id: str = "alice", peer_id: str = "bob") -> str:
        """The id of the direct chat of two users."""
        request = pb.CreateDirectChatRequest(user_id=user_id, peer_id=peer_id)
        return (await self.chat.CreateDirectChat(request)).chat.id

    async def group(self, *member_ids: str) -> str:
        """The id of a group; the first member makes it."""
        maker, *others = member_ids
        request = pb.CreateGroupRequest(user_id=maker, name="group", member_ids=others)
        return (await self.chat.CreateGroup(request)).chat.id

    async def send(
        self,
        chat_id: str,
        key: str = "",
        content: str = "",
        user_id: str = "alice",
        mentions: Sequence[str] = (),
    ) -> pb.SendResult:
        """What becomes of one message; it is new unless ``key`` says which one it repeats."""
        self.sent += 1
        item = send_item(
            chat_id,
            key or f"key-{self.sent}",
            content or f"content {self.sent}",
            user_id,
            mentions=mentions,
        )
        answer = await self.chat.SendMessages(pb.SendMessagesRequest(items=[item]))
        return answer.results[0]

    async def fill(self, chat_id: str, count: int, user_id: str = "alice") -> None:
        """Sends new messages, 50 at a time."""
        for start in range(0, count, 50):
            items = [
                send_item(chat_id, f"fill-{self.sent + number}", "filling", user_id)
                for number in range(min(50, count - start))
            ]
            self.sent += len(items)
            answer = await self.chat.SendMessages(pb.SendMessagesRequest(items=items))
            assert all(result.HasField("accepted") for result in answer.results), answer

    async def read(self, *cursors: tuple[str, int, int], limit: int = 0, user_id: str = "bob") -> Any:
        """The slices after cursors of chat, epoch and seq."""
        request = pb.ReadLogRequest(
            user_id=user_id,
            limit=limit,
            cursors=[pb.Cursor(chat_id=chat, epoch=epoch, seq=seq) for chat, epoch, seq in cursors],
        )
        return (await self.chat.ReadLog(request)).slices

    async def stored(self, chat_id: str, seq: int) -> None:
        """Returns once the store has the log up to there."""
        await self.persist.stored(chat_id, seq)

    async def forget_recent(self, chat_id: str) -> None:
        """The recent log is dropped, as it is an hour after its last use."""
        await self.redis.delete(keys.log(chat_id))


@asynccontextmanager
async def chat_service(
    servers: Servers, persist_target: str, **settings: Any
) -> AsyncIterator[tuple[ChatServiceStub, int]]:
    """A running chat_service while entered: a caller of it, and its port."""
    values = {
        "service_secret": SECRET,
        "redis_url": servers.redis_url,
        "amqp_url": servers.amqp_url,
        "persist_target": persist_target,
        "chat_port": 0,
        "chat_admin_port": 0,
        "chat_send_rate": 1e6,
        "chat_send_burst": 1_000_000,
        "chat_create_rate": 1e6,
        "chat_create_burst": 1_000_000,
        "chat_member_rate": 1e6,
        "chat_member_burst": 1_000_000,
    }
    life = Lifecycle()
    try:
        ports = await serve(ChatSettings.model_validate({**values, **settings}), life)
        target = f"127.0.0.1:{ports['grpc']}"
        channel = await life.enter(
            open_channel(
                target, caller="edge", callee="chat", secret=SecretStr(SECRET), default_deadline_seconds=20
            )
        )
        stub = ChatServiceStub(channel)

        async def ready() -> bool | None:
            answer = await stub.SendMessages(pb.SendMessagesRequest(items=[pb.SendItem()]))
            return True if answer.results else None

        await eventually(_without_outage(ready))
        yield stub, ports["grpc"]
    finally:
        await life.close(20)


def _without_outage(probe: Any) -> Any:
    async def quiet() -> bool | None:
        try:
            return bool(await probe())
        except Unavailable:
            await asyncio.sleep(0.05)
            return None

    return quiet


@asynccontextmanager
async def open_world(
    servers: Servers, *, persist_settings: Mapping[str, Any] = MappingProxyType({}), **settings: Any
) -> AsyncIterator[World]:
    """Both services while entered."""
    async with running(servers, **persist_settings) as persist:
        await serving(persist)
        async with (
            chat_service(servers, f"127.0.0.1:{persist.port}", **settings) as (
                stub,
                port,
            ),
            open_redis(SecretStr(servers.redis_url)) as redis,
        ):
            yield World(stub, persist, redis, servers, port)
