"""The composition root: the only place that knows every part."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from mesh.admin import open_admin
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
from persist_service.adapters.chat_lists import RedisChatLists
from persist_service.adapters.follow_ups import BrokerFollowUps
from persist_service.adapters.mongo.changes import MongoChanges
from persist_service.adapters.mongo.chats import MongoChats
from persist_service.adapters.mongo.indexes import LATER, NEEDED, make_indexes
from persist_service.adapters.mongo.markers import MongoMarkers
from persist_service.adapters.mongo.memberships import MongoMemberships
from persist_service.adapters.mongo.messages import MongoMessages
from persist_service.adapters.mongo.server import open_mongo
from persist_service.adapters.mongo.statistics import MongoStatistics
from persist_service.adapters.mongo.terms import MongoTerms
from persist_service.adapters.mongo.users import MongoUsers
from persist_service.adapters.presence import RedisPresence
from persist_service.consumers.batches import BatchHandler
from persist_service.consumers.codecs import AnalyticsCodec, IndexCodec, PersistCodec, PointerCodec
from persist_service.consumers.markers import MarkerHandler
from persist_service.rpc.chat_lists import ChatListAnswers
from persist_service.rpc.servicer import PersistRpc
from persist_service.settings import PersistSettings
from persist_service.use_cases.add_members import AddMembers
from persist_service.use_cases.count_messages import CountMessages
from persist_service.use_cases.create_direct_chat import CreateDirectChat
from persist_service.use_cases.create_group import CreateGroup
from persist_service.use_cases.get_attention import GetAttention
from persist_service.use_cases.index_messages import IndexMessages
from persist_service.use_cases.limit_strangers import LimitStrangers
from persist_service.use_cases.list_chats import ListChats
from persist_service.use_cases.list_entries import ListEntries
from persist_service.use_cases.list_messages import ListMessages
from persist_service.use_cases.list_pointers import ListPointers
from persist_service.use_cases.move_pointers import MovePointers
from persist_service.use_cases.name_members import NameMembers
from persist_service.use_cases.notify_members import NotifyMembers
from persist_service.use_cases.rebuild_heads import RebuildHeads
from persist_service.use_cases.remove_member import RemoveMember
from persist_service.use_cases.store_entries import StoreEntries

_CALLS_GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Stores:
    users: MongoUsers
    chats: MongoChats
    memberships: MongoMemberships
    messages: MongoMessages
    changes: MongoChanges
    markers: MongoMarkers
    chat_lists: RedisChatLists
    presence: RedisPresence


async def serve(settings: PersistSettings, life: Lifecycle) -> Mapping[str, int]:
    """Builds and starts the service; returns its bound ports. Waits for no backing server."""
    readiness = Readiness()
    mongo = await life.enter(open_mongo(settings.mongo_url, settings.persist_database))
    readiness.add("mongodb", mongo.check, field="mongo_url")
    redis = await life.enter(open_redis(settings.redis_url))
    readiness.add("redis", partial(ping, redis), required=False, field="redis_url")
    broker = await life.enter(Broker(settings.amqp_url, name="persist"))
    readiness.add("rabbitmq", broker.check, field="amqp_url")
    stores = _Stores(
        MongoUsers(mongo),
        MongoChats(mongo),
        MongoMemberships(mongo),
        MongoMessages(mongo),
        MongoChanges(mongo),
        MongoMarkers(mongo),
        RedisChatLists(redis),
        RedisPresence(redis),
    )

    server = await life.enter(
        RpcServer("persist", settings.service_secret, tls=settings.tls, concurrency=settings.rpc_concurrency)
    )
    server.add(add_PersistServiceServicer_to_server, _servicer(stores, settings, broker))
    port = await server.start(settings.bind_host, settings.persist_port, field="persist_port")
    admin = await life.enter(
        open_admin(settings.bind_host, settings.persist_admin_port, readiness, field="persist_admin_port")
    )

    readiness.on_change(server.set_serving)
    life.supervise("readiness", readiness.run)
    life.supervise("queue depths", QueueDepths(broker).run)
    needed, later = (partial(make_indexes, indexes=indexes) for indexes in (NEEDED, LATER))
    life.supervise("make indexes", partial(mongo.prepare, needed, later))
    for queue, handler in _handlers(stores, mongo, broker).items():
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


def _servicer(stores: _Stores, settings: PersistSettings, broker: Broker) -> PersistRpc:
    chats, memberships, chat_lists = stores.chats, stores.memberships, stores.chat_lists
    name_members = NameMembers(chats, memberships)
    strangers = LimitStrangers(chats, memberships, limit=settings.persist_stranger_groups)
    return PersistRpc(
        users=stores.users,
        chats=chats,
        memberships=memberships,
        messages=stores.messages,
        presence=stores.presence,
        create_direct_chat=CreateDirectChat(chats, memberships, chat_lists),
        create_group=CreateGroup(chats, memberships, chat_lists, name_members, strangers),
        add_members=AddMembers(
            chats, memberships, chat_lists, name_members, strangers, limit=settings.persist_group_members
        ),
        rebuild_heads=RebuildHeads(QueueBarrier(broker, stores.markers), chats),
        remove_member=RemoveMember(chats, memberships, chat_lists, name_members),
        list_messages=ListMessages(chats, stores.messages),
        list_entries=ListEntries(chats, stores.messages, stores.changes),
        list_pointers=ListPointers(chats, memberships),
        chat_lists=ChatListAnswers(ListChats(chats, memberships), chat_lists),
        get_attention=GetAttention(chats, memberships, stores.messages, stores.presence),
    )


def _handlers(stores: _Stores, mongo: Mongo, broker: Broker) -> dict[str, Handler]:
    follow_ups = BrokerFollowUps(broker)
    notify_members = NotifyMembers(
        users=stores.users,
        chats=stores.chats,
        memberships=stores.memberships,
        presence=stores.presence,
        follow_ups=follow_ups,
    )
    store_entries = StoreEntries(
        messages=stores.messages,
        changes=stores.changes,
        chats=stores.chats,
        memberships=stores.memberships,
        chat_lists=stores.chat_lists,
        follow_ups=follow_ups,
        notify_members=notify_members,
    )
    move_pointers = MovePointers(stores.memberships, stores.chat_lists, follow_ups)
    index_messages = IndexMessages(MongoTerms(mongo))
    count_messages = CountMessages(MongoStatistics(mongo))
    return {
        MESSAGE_PERSIST: MarkerHandler(
            MARKER_HEADER,
            BatchHandler(MESSAGE_PERSIST, PersistCodec(), store_entries, broker),
            stores.markers,
        ),
        MESSAGE_READ: BatchHandler(MESSAGE_READ, PointerCodec(), move_pointers, broker),
        MESSAGE_INDEX: BatchHandler(MESSAGE_INDEX, IndexCodec(), index_messages, broker),
        ANALYTICS: BatchHandler(ANALYTICS, AnalyticsCodec(), count_messages, broker),
    }
