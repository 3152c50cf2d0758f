"""The composition root: the only place that knows every part."""

from collections.abc import Mapping
from functools import partial

from mesh.admin import open_admin
from mesh.amqp.batches import BatchHandler
from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.deliveries import Handler
from mesh.amqp.depths import QueueDepths
from mesh.amqp.topology import ANALYTICS, MESSAGE_INDEX, MESSAGE_PERSIST, MESSAGE_READ
from mesh.lifecycle import Lifecycle
from mesh.mongo import Mongo
from mesh.readiness import Readiness
from mesh.redis import open_redis, ping
from mesh.rpc.server import RpcServer
from parley.persist.v1.persist_service_pb2_grpc import add_PersistServiceServicer_to_server
from persist_service.adapters.barrier import MARKER_HEADER, QueueBarrier
from persist_service.adapters.follow_ups import BrokerFollowUps
from persist_service.consumers.codecs import FACTS, INDEX, PERSIST, READ
from persist_service.consumers.markers import MarkerHandler
from persist_service.rpc.servicer import PersistRpc
from persist_service.settings import PersistSettings
from persist_service.stores.all_stores import Stores
from persist_service.stores.indexes import LATER, NEEDED, make_indexes
from persist_service.stores.server import open_mongo
from persist_service.use_cases.derived import count_messages, index_messages
from persist_service.use_cases.groups import Groups
from persist_service.use_cases.store import move_pointers, store_entries

_CALLS_GRACE_SECONDS = 10.0


async def serve(settings: PersistSettings, life: Lifecycle) -> Mapping[str, int]:
    """Builds and starts the service; returns its bound ports. Waits for no backing server."""
    readiness = Readiness()
    mongo = await life.enter(open_mongo(settings.mongo_url, settings.persist_database))
    readiness.add("mongodb", mongo.check, field="mongo_url")
    redis = await life.enter(open_redis(settings.redis_url))
    readiness.add("redis", partial(ping, redis), required=False, field="redis_url")
    broker = await life.enter(Broker(settings.amqp_url, name="persist"))
    readiness.add("rabbitmq", broker.check, field="amqp_url")
    stores = Stores.on(mongo, redis)
    groups = Groups(stores, settings.persist_group_members, settings.persist_stranger_groups)

    server = await life.enter(
        RpcServer("persist", settings.service_secret, tls=settings.tls, concurrency=settings.rpc_concurrency)
    )
    servicer = PersistRpc(stores=stores, groups=groups, barrier=QueueBarrier(broker, stores.markers))
    server.add(add_PersistServiceServicer_to_server, servicer)
    port = await server.start(settings.bind_host, settings.persist_port, field="persist_port")
    admin = await life.enter(
        open_admin(settings.bind_host, settings.persist_admin_port, readiness, field="persist_admin_port")
    )

    readiness.on_change(server.set_serving)
    life.supervise("readiness", readiness.run)
    life.supervise("queue depths", QueueDepths(broker).run)
    needed, later = (partial(make_indexes, indexes=indexes) for indexes in (NEEDED, LATER))
    life.supervise("make indexes", partial(mongo.prepare, needed, later))
    for queue, handler in _handlers(stores, broker).items():
        size = settings.persist_batch_deliveries
        consumer = Consumer(broker, queue, handler, prefetch=4 * size, batch_size=size)
        life.supervise(f"consume {queue}", partial(_consume, mongo, consumer))
        life.on_drain(f"consumer {queue}", consumer.stop)
    life.on_drain("grpc", partial(server.stop, _CALLS_GRACE_SECONDS))
    life.on_drain("readiness", readiness.start_drain)
    return {"grpc": port, "admin": admin}


async def _consume(mongo: Mongo, consumer: Consumer) -> None:
    # Nothing is taken from the broker before there is somewhere to put it.
    await mongo.wait_prepared()
    await consumer.run()


def _handlers(stores: Stores, broker: Broker) -> dict[str, Handler]:
    follow_ups = BrokerFollowUps(broker)
    store = partial(store_entries, stores, follow_ups)
    move = partial(move_pointers, stores, follow_ups)
    index, count = partial(index_messages, stores), partial(count_messages, stores)
    return {
        MESSAGE_PERSIST: MarkerHandler(
            MARKER_HEADER,
            BatchHandler(MESSAGE_PERSIST, PERSIST, store, broker.publish_many),
            stores.markers,
        ),
        MESSAGE_READ: BatchHandler(MESSAGE_READ, READ, move, broker.publish_many),
        MESSAGE_INDEX: BatchHandler(MESSAGE_INDEX, INDEX, index, broker.publish_many),
        ANALYTICS: BatchHandler(ANALYTICS, FACTS, count, broker.publish_many),
    }
