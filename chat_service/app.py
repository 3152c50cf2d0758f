"""The composition root: the one place that knows which adapter stands behind which port."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from redis.asyncio import Redis

from chat_service.adapters.broker import RabbitBroker
from chat_service.adapters.redis.chat_locks import RedisChatLocks
from chat_service.adapters.redis.chat_log import RedisChatLog, Retention
from chat_service.adapters.redis.edge_leases import RedisEdgeLeases
from chat_service.adapters.redis.non_members import RedisNonMembers
from chat_service.adapters.redis.outbox import RedisOutbox
from chat_service.adapters.redis.pending_changes import RedisPendingChanges
from chat_service.adapters.redis.presence import RedisPresence
from chat_service.adapters.redis.rate_limiter import Bucket, RedisRateLimiter
from chat_service.adapters.redis.recent_log import RedisRecentLog
from chat_service.adapters.redis.revocations import RedisRevocations
from chat_service.adapters.redis.user_channels import RedisUserChannels
from chat_service.adapters.store import IDEMPOTENT_CALLS, PersistStore
from chat_service.ports.broker import Broker
from chat_service.ports.log import ChatLog, Outbox, OutboxSizes, RecentLog
from chat_service.ports.members import ChatLocks, NonMembers, PendingChanges
from chat_service.ports.rates import RateLimiter
from chat_service.ports.sessions import EdgeLeases, Presence, Revocations, UserChannels
from chat_service.ports.store import Store
from chat_service.rpc.servicer import ChatRpc, UseCases
from chat_service.settings import ChatSettings
from chat_service.use_cases import send_messages
from chat_service.use_cases.add_members import AddMembers
from chat_service.use_cases.announcer import Announcer
from chat_service.use_cases.append_event import AppendEvent
from chat_service.use_cases.create_direct_chat import CreateDirectChat
from chat_service.use_cases.create_group import CreateGroup
from chat_service.use_cases.finish_changes import FinishChanges
from chat_service.use_cases.join_chats import JoinChats
from chat_service.use_cases.list_messages import ListMessages
from chat_service.use_cases.mark_delivered import MarkDelivered
from chat_service.use_cases.mark_read import MarkRead
from chat_service.use_cases.membership_changes import MembershipChanges
from chat_service.use_cases.membership_lookup import STRANGERS, MembershipLookup
from chat_service.use_cases.membership_states import MembershipStates
from chat_service.use_cases.open_session import OpenSession
from chat_service.use_cases.read_log import ReadLog
from chat_service.use_cases.read_pointers import ReadPointers
from chat_service.use_cases.remove_member import RemoveMember
from chat_service.use_cases.renew_sessions import RenewSessions
from chat_service.use_cases.revocation_check import RevocationCheck
from chat_service.use_cases.revoke_sessions import RevokeSessions
from chat_service.use_cases.send_messages import SendMessages
from chat_service.use_cases.set_typing import SetTyping
from chat_service.use_cases.sweep_outbox import SweepOutbox
from chat_service.use_cases.throttle import CREATE, JOIN, MEMBERS, Throttle
from chat_service.use_cases.views import ChatViews
from chat_service.use_cases.watch_departures import WatchDepartures
from chat_service.use_cases.watch_edges import WatchEdges
from chat_service.use_cases.watch_outbox import WatchOutbox
from mesh.admin import open_admin
from mesh.amqp.connection import Broker as Amqp
from mesh.lifecycle import Lifecycle
from mesh.readiness import Readiness
from mesh.redis import open_redis, ping
from mesh.rpc.channel import open_channel
from mesh.rpc.server import RpcServer
from parley.chat.v1.chat_service_pb2_grpc import add_ChatServiceServicer_to_server
from parley.persist.v1.persist_service_pb2_grpc import PersistServiceStub

_SWEEP_SECONDS = 1.0
_SWEEP_AGE_MS = 10_000  # well beyond what a send that still lives takes to clear its entries
_OUTBOX_SIZE_SECONDS = 10.0
_FINISH_SECONDS = 5.0
_FINISH_AGE_MS = 30_000  # by then the lock of a process that died is lost
_DEPARTURES_SECONDS = 0.5
_EDGES_SECONDS = 1.0
_EDGES_PATIENCE_SECONDS = 5.0  # more than an edge that lives lets pass between two renewals of its lease
_CALLS_IN_FLIGHT_SECONDS = 10.0


async def serve(settings: ChatSettings, life: Lifecycle) -> Mapping[str, int]:
    """Builds and starts the service; its ports by name.

    Raises:
        BindError: a port is not free.
    """
    readiness = Readiness()
    redis = await life.enter(open_redis(settings.redis_url))
    readiness.add("redis", partial(ping, redis), field="redis_url")
    amqp = await life.enter(Amqp(settings.amqp_url, name="chat"))
    readiness.add("rabbitmq", amqp.check, field="amqp_url")
    channel = await life.enter(
        open_channel(
            settings.persist_target,
            caller="chat",
            callee="persist",
            secret=settings.service_secret,
            tls=settings.tls,
            idempotent=IDEMPOTENT_CALLS,
            http_proxy=settings.rpc_http_proxy,
        )
    )
    # Without persist_service sends go on; only what Redis does not hold is refused.
    readiness.add("persist", channel.check, required=False, field="persist_target")

    ports = _ports(settings, redis, amqp, PersistServiceStub(channel))
    announcer = Announcer(ports.log, ports.store)

    server = await life.enter(
        RpcServer("chat", settings.service_secret, tls=settings.tls, concurrency=settings.rpc_concurrency)
    )
    lookup = MembershipLookup(ports.log, ports.non_members, ports.store, ports.limiter)
    states = MembershipStates(ports.log, ports.store, lookup)
    throttle = Throttle(ports.limiter)
    views = ChatViews(states, ports.log, ports.presence, ports.store, throttle)
    changes = MembershipChanges(
        locks=ports.locks,
        pending=ports.pending,
        log=ports.log,
        append_event=AppendEvent(ports.log, ports.outbox, ports.broker, ports.store),
        store=ports.store,
        views=views,
        channels=ports.channels,
    )
    use_cases = _use_cases(
        settings,
        ports,
        throttle,
        announcer=announcer,
        lookup=lookup,
        states=states,
        views=views,
        changes=changes,
    )
    server.add(add_ChatServiceServicer_to_server, ChatRpc(use_cases))
    port = await server.start(settings.bind_host, settings.chat_port, field="chat_port")
    admin = await life.enter(
        open_admin(settings.bind_host, settings.chat_admin_port, readiness, field="chat_admin_port")
    )
    readiness.on_change(server.set_serving)

    life.supervise("readiness", readiness.run)
    _supervise(life, ports, RedisOutbox(redis), changes, announcer)
    life.on_drain("membership changes", changes.drain)
    life.on_drain("grpc", partial(server.stop, _CALLS_IN_FLIGHT_SECONDS))
    life.on_drain("readiness", readiness.start_drain)
    return {"grpc": port, "admin": admin}


def _supervise(
    life: Lifecycle,
    ports: "_Ports",
    outbox_sizes: OutboxSizes,
    changes: MembershipChanges,
    announcer: Announcer,
) -> None:
    """Starts what runs without being called."""
    sweeper = SweepOutbox(ports.outbox, ports.broker, interval_seconds=_SWEEP_SECONDS, age_ms=_SWEEP_AGE_MS)
    life.supervise("outbox sweeper", sweeper.run)
    sizes = WatchOutbox(outbox_sizes, interval_seconds=_OUTBOX_SIZE_SECONDS)
    life.supervise("outbox size", sizes.run)
    finisher = FinishChanges(ports.pending, changes, interval_seconds=_FINISH_SECONDS, age_ms=_FINISH_AGE_MS)
    life.supervise("pending changes", finisher.run)
    departures = WatchDepartures(ports.presence, ports.store, announcer, interval_seconds=_DEPARTURES_SECONDS)
    life.supervise("departures", departures.run)
    edges = WatchEdges(
        ports.leases,
        ports.presence,
        interval_seconds=_EDGES_SECONDS,
        patience_seconds=_EDGES_PATIENCE_SECONDS,
    )
    life.supervise("edges", edges.run)


@dataclass(frozen=True, slots=True)
class _Ports:
    locks: ChatLocks
    log: ChatLog
    recent: RecentLog
    outbox: Outbox
    pending: PendingChanges
    broker: Broker
    store: Store
    presence: Presence
    leases: EdgeLeases
    revocations: Revocations
    channels: UserChannels
    limiter: RateLimiter
    non_members: NonMembers


def _ports(settings: ChatSettings, redis: Redis, amqp: Amqp, persist: PersistServiceStub) -> _Ports:
    retention = Retention(
        settings.chat_recent_entries, settings.chat_recent_seconds, settings.chat_dedupe_seconds
    )
    buckets = {
        send_messages.RATE_ACTION: Bucket(settings.chat_send_rate, settings.chat_send_burst),
        SetTyping.RATE_ACTION: Bucket(settings.chat_typing_rate, settings.chat_typing_burst),
        MarkRead.RATE_ACTION: Bucket(settings.chat_read_rate, settings.chat_read_burst),
        ChatViews.RATE_ACTION: Bucket(settings.chat_list_rate, settings.chat_list_burst),
        CREATE: Bucket(settings.chat_create_rate, settings.chat_create_burst),
        JOIN: Bucket(settings.chat_join_rate, settings.chat_join_burst),
        STRANGERS: Bucket(settings.chat_stranger_rate, settings.chat_stranger_burst),
        MEMBERS: Bucket(settings.chat_member_rate, settings.chat_member_burst),
    }
    return _Ports(
        locks=RedisChatLocks(redis),
        log=RedisChatLog(redis, retention),
        recent=RedisRecentLog(redis, seconds=retention.recent_seconds),
        outbox=RedisOutbox(redis),
        pending=RedisPendingChanges(redis),
        broker=RabbitBroker(amqp),
        store=PersistStore(persist),
        presence=RedisPresence(
            redis,
            sessions_per_user=settings.chat_sessions_per_user,
            grace_ms=int(settings.chat_offline_grace_seconds * 1_000),
        ),
        leases=RedisEdgeLeases(redis),
        revocations=RedisRevocations(redis, leeway_ms=settings.jwt_leeway_seconds * 1_000),
        channels=RedisUserChannels(redis),
        limiter=RedisRateLimiter(redis, buckets),
        non_members=RedisNonMembers(redis),
    )


def _use_cases(
    settings: ChatSettings,
    ports: _Ports,
    throttle: Throttle,
    *,
    announcer: Announcer,
    lookup: MembershipLookup,
    states: MembershipStates,
    views: ChatViews,
    changes: MembershipChanges,
) -> UseCases:
    log, store, channels = ports.log, ports.store, ports.channels
    revoked = RevocationCheck(ports.revocations, store)
    read_pointers = ReadPointers(log, ports.recent, ports.broker)
    return UseCases(
        send_messages=SendMessages(
            log=log,
            outbox=ports.outbox,
            broker=ports.broker,
            store=store,
            limiter=ports.limiter,
            lookup=lookup,
            read_pointers=read_pointers,
            content_limit=settings.chat_content_limit,
        ),
        open_session=OpenSession(ports.presence, revoked, log, store, announcer),
        renew_sessions=RenewSessions(ports.presence, ports.leases, revoked, announcer),
        revoke_sessions=RevokeSessions(ports.presence, ports.revocations, channels, store),
        revoked=revoked,
        presence=ports.presence,
        join_chats=JoinChats(states, throttle),
        read_log=ReadLog(states, ports.recent, store, throttle),
        views=views,
        set_typing=SetTyping(states, log, throttle),
        mark_read=MarkRead(states, read_pointers, ports.recent, store, throttle),
        mark_delivered=MarkDelivered(log, ports.broker),
        list_messages=ListMessages(states, log, ports.recent, store),
        create_direct_chat=CreateDirectChat(log, store, channels, views, throttle),
        create_group=CreateGroup(log, store, channels, views, throttle),
        add_members=AddMembers(views, log, store, changes, throttle),
        remove_member=RemoveMember(views, log, store, changes, throttle),
    )
