"""The composition root: the only module that builds adapters."""

from collections.abc import Mapping
from functools import partial

from mesh.admin import open_admin
from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.topology import NOTIFICATION_SEND
from mesh.lifecycle import Lifecycle
from mesh.readiness import Readiness
from mesh.rpc.server import RpcServer
from notify_service.adapters.mongo.database import ensure_indexes, open_database, ping
from notify_service.adapters.mongo.devices import MongoDeviceStore
from notify_service.adapters.mongo.keys import MongoKeyStore
from notify_service.adapters.mongo.ledger import MongoLedger
from notify_service.adapters.mongo.preferences import MongoPreferenceStore
from notify_service.consumers.notification_send import NotificationConsumer
from notify_service.rpc.notify import NotifyRpc
from notify_service.senders import make_vapid, open_guarded, open_senders
from notify_service.settings import NotifySettings
from notify_service.use_cases.devices import Devices
from notify_service.use_cases.ledger import LedgerQuery
from notify_service.use_cases.notify_users import NotifyUsers
from notify_service.use_cases.preferences import UserPreferences
from parley.notify.v1.notify_service_pb2_grpc import add_NotifyServiceServicer_to_server

# A delivery may hold up to 500 notifications.
_BATCH = 16
_PREFETCH = 32
_GRPC_GRACE_SECONDS = 10.0


async def serve(settings: NotifySettings, life: Lifecycle) -> Mapping[str, int]:
    """Starts everything; gives the bound ports. Does not wait for the backing servers."""
    readiness = Readiness()
    database = await life.enter(open_database(settings.mongo_url.get_secret_value()))
    readiness.add("mongodb", partial(ping, database))
    broker = await life.enter(Broker(settings.amqp_url, name="notify"))
    readiness.add("rabbitmq", broker.check)

    devices, preferences = MongoDeviceStore(database), MongoPreferenceStore(database)
    ledger = MongoLedger(database)
    vapid = make_vapid(settings, MongoKeyStore(database))
    guarded = await open_guarded(settings, life)
    senders = await open_senders(settings, life, guarded, vapid)
    notify_users = NotifyUsers(
        devices, preferences, ledger, senders, implicit_log_device=settings.is_development
    )
    consumer = Consumer(
        broker,
        NOTIFICATION_SEND,
        NotificationConsumer(notify_users, broker).handle,
        prefetch=_PREFETCH,
        batch_size=_BATCH,
    )

    server = await life.enter(
        RpcServer("notify", settings.service_secret, tls=settings.tls, concurrency=settings.rpc_concurrency)
    )
    rpc = NotifyRpc(Devices(devices, senders.keys()), UserPreferences(preferences), LedgerQuery(ledger))
    server.add(add_NotifyServiceServicer_to_server, rpc)
    port = await server.start(settings.bind_host, settings.notify_port, field="notify_port")
    admin = await life.enter(
        open_admin(settings.bind_host, settings.notify_admin_port, readiness, field="notify_admin_port")
    )
    readiness.on_change(server.set_serving)
    life.supervise("readiness", readiness.run)

    async def consume() -> None:
        # Without the unique index two deliveries of one job would both be sent.
        await ensure_indexes(database)
        await consumer.run()

    life.supervise(f"consume {NOTIFICATION_SEND}", consume)
    life.on_drain("consumer", consumer.stop)
    life.on_drain("grpc", partial(server.stop, _GRPC_GRACE_SECONDS))
    life.on_drain("readiness", readiness.start_drain)
    return {"grpc": port, "admin": admin}
