"""Whether what the settings name can be reached, and takes us for whom we are."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from admin.broker import open_broker
from admin.migrations import pending, version_of
from admin.mongo import in_words, open_mongo
from admin.schemas import schemas
from admin.services import open_service
from admin.settings import DatabaseSettings
from mesh.errors import ParleyError
from mesh.redis import open_redis, ping
from mesh.rpc.channel import RpcChannel
from mesh.settings import MeshSettings, read
from parley.chat.v1.chat_service_pb2 import CheckRevocationRequest
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from parley.notify.v1.notify_service_pb2 import GetPushConfigRequest
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub
from parley.persist.v1.persist_service_pb2 import GetUserNamesRequest
from parley.persist.v1.persist_service_pb2_grpc import PersistServiceStub

_NOBODY: Final = "parley-admin-check"
"""A user that the questions are about; whether there is one does not matter."""


class NotWellError(Exception):
    """It answers, and says that it is not well."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one question."""

    what: str
    where: str
    well: bool
    detail: str

    def row(self) -> dict[str, Any]:
        """As it is shown."""
        return {
            "what": self.what,
            "where": self.where,
            "state": "ok" if self.well else "FAILED",
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and where; the answer is a detail worth showing, or empty."""

    what: str
    where: str
    ask: Callable[[float], Awaitable[str]]
    """Takes the seconds that it has."""

    async def answer(self, timeout_seconds: float) -> Found:
        """Never raises for what is not well."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(timeout_seconds):
                detail = await self.ask(timeout_seconds)
        except TimeoutError:
            return Found(self.what, self.where, well=False, detail=f"no answer in {timeout_seconds:g} s")
        except (ParleyError, PyMongoError, RedisError, OSError, NotWellError) as error:
            return Found(self.what, self.where, well=False, detail=_first_line(error))
        spent = f"{(time.perf_counter() - started) * 1000:.0f} ms"
        return Found(self.what, self.where, well=True, detail=f"{detail}, {spent}" if detail else spent)


def questions(all_settings: Sequence[MeshSettings]) -> list[Question]:
    """One for each server and service that any of the settings names, each once."""
    found: dict[tuple[str, str], Question] = {}
    for settings in all_settings:
        for question in _of(settings):
            found.setdefault((question.what, question.where), question)
    order = [*_SERVERS, *_CALLS]
    return sorted(found.values(), key=lambda question: (order.index(question.what), question.where))


def _of(settings: MeshSettings) -> Iterator[Question]:
    for what, (field, ask) in _SERVERS.items():
        url: SecretStr | None = getattr(settings, field, None)
        if url is not None:
            yield Question(what, without_password(url.get_secret_value()), partial(ask, url))
    for callee in _CALLS:
        target: str | None = getattr(settings, f"{callee}_target", None)
        if target is not None:
            yield Question(callee, target, partial(_ask_service, callee, target, settings))


def without_password(url: str) -> str:
    """The hosts and path of a URL: what stands before the last `@`, and a query, may hold a secret."""
    return url.partition("://")[2].rpartition("@")[2].partition("?")[0].rstrip("/")


async def _ask_redis(url: SecretStr, _: float) -> str:
    async with open_redis(url) as client:
        await ping(client)
    return ""


async def _ask_broker(url: SecretStr, _: float) -> str:
    async with open_broker(url):
        return ""


async def _ask_mongo(url: SecretStr, timeout_seconds: float) -> str:
    """The server answers, and the databases are as this release needs them."""
    settings = read(DatabaseSettings)
    # The driver gives up first, for it knows why.
    async with open_mongo(url, wait_seconds=0.8 * timeout_seconds) as client:
        hello: dict[str, Any] = await client.admin.command("hello")
        missing = [
            f"{schema.database} lacks {', '.join(names)}"
            for schema in schemas(settings)
            if (names := pending(schema, await version_of(client[schema.database])))
        ]
    if missing:
        raise NotWellError(f"run migrate: {'; '.join(missing)}")
    return f"replica set {hello['setName']!s}" if "setName" in hello else "no replica set"


async def _ask_service(callee: str, target: str, settings: MeshSettings, _: float) -> str:
    async with open_service(callee, target, settings) as channel:
        # Proves our token, and on the way our certificate.
        await _CALLS[callee](channel)
        health = health_pb2_grpc.HealthStub(channel.plain)
        try:
            state = (await health.Check(health_pb2.HealthCheckRequest())).status
        except grpc.aio.AioRpcError as error:
            raise NotWellError(f"health: {error.code().name}") from error
    if state != health_pb2.HealthCheckResponse.SERVING:
        raise NotWellError("is not ready; its /readyz says why")
    return "serving"


async def _ask_chat(channel: RpcChannel) -> None:
    await ChatServiceStub(channel).CheckRevocation(CheckRevocationRequest(user_id=_NOBODY))


async def _ask_persist(channel: RpcChannel) -> None:
    await PersistServiceStub(channel).GetUserNames(GetUserNamesRequest(user_ids=[_NOBODY]))


async def _ask_notify(channel: RpcChannel) -> None:
    await NotifyServiceStub(channel).GetPushConfig(GetPushConfigRequest())


_SERVERS: Final = {
    "redis": ("redis_url", _ask_redis),
    "rabbitmq": ("amqp_url", _ask_broker),
    "mongodb": ("mongo_url", _ask_mongo),
}
_CALLS: Final = {"chat": _ask_chat, "persist": _ask_persist, "notify": _ask_notify}


def _first_line(error: Exception) -> str:
    if isinstance(error, PyMongoError):
        return in_words(error)
    text = cast("str", getattr(error, "message", None) or str(error))
    return (text.splitlines() or [type(error).__name__])[0]
