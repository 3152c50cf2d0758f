"""Devices and preferences alone: their use cases on a real MongoDB, behind real gRPC, for every kind."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mesh.rpc.channel import open_channel
from mesh.rpc.server import RpcServer
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.adapters.mongo.keys import MongoKeyStore
from notify_service.adapters.mongo.stores import Stores
from notify_service.domain.device import DeviceKind
from notify_service.email.unsubscribe import Unsubscribe, UnsubscribeTokens
from notify_service.inbox.inbox import Rhythm
from notify_service.ledger.explain import ExplainNotification
from notify_service.ledger.query import LedgerQuery
from notify_service.people.devices import Devices, GetPushConfig
from notify_service.people.preferences import UserPreferences
from notify_service.providers.web_push.vapid import Vapid
from notify_service.rpc.notify import NotifyRpc, NotifyUseCases
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub, add_NotifyServiceServicer_to_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

_SECRET = SecretStr("a secret of the tests, 32 bytes and more")


@asynccontextmanager
async def open_desk(
    mongo_url: str, kinds: Collection[DeviceKind] = tuple(DeviceKind), *, allow_loopback: bool = False
) -> AsyncIterator[NotifyServiceStub]:
    """A caller of it."""
    async with open_mongo(mongo_url) as mongo, RpcServer("notify", _SECRET) as server:
        await mongo.prepare(make_indexes)
        stores = Stores.of(mongo, Rhythm(0, 0, 0), digest_after_seconds=1)
        use_cases = NotifyUseCases(
            devices=Devices(stores.devices, kinds, allow_loopback=allow_loopback),
            push_config=GetPushConfig(kinds, Vapid(MongoKeyStore(mongo), "")),
            preferences=UserPreferences(stores.preferences),
            unsubscribe=Unsubscribe(UnsubscribeTokens(_SECRET.get_secret_value()), stores.preferences),
            ledger=LedgerQuery(stores.ledger),
            explain=ExplainNotification(
                stores.inboxes, stores.deliveries, stores.ledger, stores.devices, stores.preferences
            ),
        )
        server.add(add_NotifyServiceServicer_to_server, NotifyRpc(use_cases))
        port = await server.start("127.0.0.1", 0, field="notify_port")
        async with open_channel(
            f"127.0.0.1:{port}", caller="test", callee="notify", secret=_SECRET
        ) as channel:
            yield NotifyServiceStub(channel)
