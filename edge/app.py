"""The composition root: the only module that builds adapters."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from functools import partial

from redis.asyncio import Redis
from tornado.routing import PathMatches, Rule
from tornado.web import Application

from edge.addresses import TrustedProxies, parse_networks
from edge.admission import Admission, AdmissionLimits, no_place
from edge.handshake import HandshakeHandler
from edge.identity import open_verifier
from edge.identity.dev_tokens import DevTokens
from edge.identity.revocations import Revocations
from edge.pubsub.channels import Channels, chat_channel
from edge.pubsub.cluster_subscriber import ClusterSubscriber
from edge.pubsub.probe import Probe
from edge.pubsub.subscriber import Subscriber, redis_connector
from edge.request_target import AbsoluteTargets
from edge.rest import OriginPolicy, RestDeps, application_settings, routes
from edge.rest.errors import MAX_HEAD_BYTES
from edge.rest.unasked import UNREADABLE, unasked_answer
from edge.rooms import pending_joins
from edge.rooms.deliveries import DeliveryReports
from edge.rooms.fanout import Fanout
from edge.rooms.membership import Membership
from edge.rooms.permission import JoinPermission
from edge.rooms.replay import Replay
from edge.rooms.rooms import Rooms
from edge.sessions.gateway import Gateway
from edge.sessions.presence_keeper import PresenceKeeper
from edge.sessions.sends import SendQueue
from edge.sessions.services import SessionServices
from edge.settings import EdgeSettings
from edge.tls import renew
from edge.traces import ClientTraces
from edge.websocket.connection import ConnectionLimits
from mesh.admin import open_admin
from mesh.descriptors import for_clients
from mesh.http.places import Places
from mesh.http.server import HttpLimits, HttpServer, OwnAnswers
from mesh.lifecycle import Lifecycle
from mesh.listening import listen
from mesh.readiness import Readiness
from mesh.redis import node_url, open_redis
from mesh.redis_cluster.client import ClusterRedis
from mesh.rpc.channel import RpcChannel, open_channel
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub
from parley.notify.v1.webhook_service_pb2_grpc import WebhookServiceStub

# Calls of chat_service that may be repeated after UNAVAILABLE. SendMessages is too, but its retries are the
# client's: the edge would make the queue behind it wait.
_IDEMPOTENT = tuple(
    f"parley.chat.v1.ChatService/{method}"
    for method in (
        "OpenSession",
        "RenewSessions",
        "CloseSession",
        "JoinChats",
        "ReadLog",
        "MarkRead",
        "ListChats",
        "GetChat",
        "ListMembers",
        "ListMessages",
        "ListSessions",
        "RevokeSessions",
        "CheckRevocation",
        "CreateDirectChat",
    )
)

# Of notify_service: a repeat of the others would not find what they removed, or would make another one.
_IDEMPOTENT_AT_NOTIFY = tuple(
    f"parley.notify.v1.NotifyService/{method}"
    for method in (
        "RegisterDevice",
        "ListDevices",
        "GetPushConfig",
        "GetPreferences",
        "SetPreferences",
        "MuteChat",
        "UnmuteChat",
        "Unsubscribe",
        "ListLedger",
        "ExplainNotification",
    )
) + tuple(
    f"parley.notify.v1.WebhookService/{method}"
    for method in ("ListSubscriptions", "UpdateSubscription", "ListHookDeliveries", "ReplayHookDelivery")
)


async def serve(settings: EdgeSettings, life: Lifecycle) -> Mapping[str, int]:
    """Starts everything; gives the bound ports. Does not wait for Redis or chat_service."""
    readiness = Readiness()
    verifier = await open_verifier(settings, life)
    readiness.add("tokens", verifier.check, field="jwt_jwks_url")
    chat = await _open_channel(settings, life, settings.chat_target, "chat", _IDEMPOTENT)
    readiness.add("chat", chat.check, field="chat_target")
    notify = await _open_channel(settings, life, settings.notify_target, "notify", _IDEMPOTENT_AT_NOTIFY)
    # Chatting goes on without it.
    readiness.add("notify", notify.check, required=False, field="notify_target")
    chats = ChatServiceStub(chat)
    deps = RestDeps(
        chat=chats,
        notify=NotifyServiceStub(notify),
        webhooks=WebhookServiceStub(notify),
        verifier=verifier,
        revocations=Revocations(chats),
        readiness=readiness,
        origins=OriginPolicy.of(settings),
        max_body_bytes=settings.edge_max_body_bytes,
        proxies=TrustedProxies(parse_networks(settings.edge_trusted_proxies)),
        dev_tokens=DevTokens.allowed_by(settings),
        traces=ClientTraces(settings.edge_client_traces),
    )
    gateway = await _build_gateway(settings, life, deps)
    server = _build_server(settings, life, deps, gateway)
    port = server.listen(
        listen(
            settings.bind_host, settings.edge_port, field="edge_port", backlog=settings.edge_listen_backlog
        )
    )
    admin = await life.enter(
        open_admin(settings.bind_host, settings.edge_admin_port, readiness, field="edge_admin_port")
    )
    life.supervise("readiness", readiness.run)

    life.on_drain("connections", gateway.drain)
    life.on_drain("http", partial(_stop, server))
    life.on_drain("readiness", readiness.start_drain)
    return {"http": port, "admin": admin}


async def _open_channel(
    settings: EdgeSettings, life: Lifecycle, target: str, callee: str, idempotent: Iterable[str]
) -> RpcChannel:
    return await life.enter(
        open_channel(
            target,
            caller="edge",
            callee=callee,
            secret=settings.service_secret,
            tls=settings.tls,
            idempotent=idempotent,
            http_proxy=settings.rpc_http_proxy,
        )
    )


async def _build_gateway(settings: EdgeSettings, life: Lifecycle, deps: RestDeps) -> Gateway:
    """Wires the way from Redis to the connections and back, and starts its tasks."""
    channels = Channels()
    rooms = Rooms(
        on_open=lambda chat_id: channels.acquire(chat_channel(chat_id)),
        on_empty=lambda chat_id: channels.release(chat_channel(chat_id)),
    )
    deliveries = DeliveryReports(deps.chat)
    permission = JoinPermission(channels, deps.chat)
    services = SessionServices(
        chats=deps.chat,
        sends=SendQueue(deps.chat, lanes=settings.edge_send_lanes, limit=settings.edge_send_queue),
        membership=Membership(rooms, channels, deps.chat, permission),
        replay=Replay(
            rooms, channels, deps.chat, deliveries, permission, most_entries=settings.edge_resume_entries
        ),
        presence=PresenceKeeper(deps.chat, renew_seconds=settings.edge_renew_seconds),
        pending_joins=asyncio.Semaphore(pending_joins.AT_ONCE),
        verifier=deps.verifier,
        revocations=deps.revocations,
        traces=deps.traces,
        heartbeat_seconds=settings.edge_heartbeat_seconds,
        expiry_warning_seconds=settings.edge_expiry_warning_seconds,
        token_leeway_seconds=settings.jwt_leeway_seconds,
    )
    gateway = Gateway(
        services=services,
        limits=ConnectionLimits(
            max_message_bytes=settings.edge_max_frame_bytes,
            max_buffer_bytes=settings.edge_max_buffer_bytes,
            frames_per_second=settings.edge_frames_per_second,
            frames_burst=settings.edge_frames_burst,
            frame_bytes=settings.edge_frame_bytes,
            bytes_per_second=settings.edge_bytes_per_second,
            bytes_burst=settings.edge_bytes_burst,
        ),
        # The drain of connections has half of the time: some must be left for sends to end and for goodbyes.
        drain_seconds=min(settings.edge_drain_spread_seconds, settings.drain_seconds / 5),
    )
    publisher = await life.enter(
        # Nothing of it may fail fast: that would say nothing about the subscription.
        open_redis(settings.redis_url, max_connections=1, timeout_seconds=None)
    )
    probe = Probe(channels, publisher, every_seconds=settings.edge_probe_seconds)
    fanout = Fanout(rooms, deliveries, on_user_event=gateway.on_user_event, on_other=probe.on_message)
    subscriber = _build_subscriber(settings, channels, publisher, fanout, gateway)
    if isinstance(subscriber, Subscriber):
        life.supervise("probe", partial(probe.run, subscriber))
    deps.readiness.add("redis", subscriber.check, field="redis_url")
    for name, run in {
        "subscriber": subscriber.run,
        "sends": services.sends.run,
        "deliveries": deliveries.run,
        "renew sessions": services.presence.renew,
        "close sessions": services.presence.close,
        "heartbeat": gateway.heartbeat,
        "recheck": gateway.recheck,
    }.items():
        life.supervise(name, run)
    return gateway


def _build_subscriber(
    settings: EdgeSettings, channels: Channels, publisher: Redis, fanout: Fanout, gateway: Gateway
) -> Subscriber | ClusterSubscriber:
    url = settings.redis_url
    if isinstance(publisher, ClusterRedis):
        return ClusterSubscriber(
            channels,
            publisher,
            lambda node: redis_connector(node_url(url, node).get_secret_value())(),
            on_message=fanout.on_message,
            on_gap=lambda lost: gateway.on_gap(fanout.on_gap_in(lost)),
            probe_seconds=settings.edge_probe_seconds,
        )

    def on_gap() -> None:
        fanout.on_gap()
        gateway.on_gap()

    connect = redis_connector(url.get_secret_value())
    return Subscriber(channels, connect, on_message=fanout.on_message, on_gap=on_gap)


def _build_server(settings: EdgeSettings, life: Lifecycle, deps: RestDeps, gateway: Gateway) -> HttpServer:
    """The server of WebSockets and REST; it does not listen yet."""
    admission = Admission(
        AdmissionLimits(
            at_once=settings.edge_handshakes_at_once,
            per_second=settings.edge_handshakes_per_second,
            per_second_per_address=settings.edge_handshakes_per_address,
        )
    )
    parts = {"deps": deps, "gateway": gateway, "admission": admission}
    websocket = Rule(PathMatches(r"/ws$"), HandshakeHandler, parts)
    files = settings.edge_certificate
    certificate = None if files is None else files.read()
    most = for_clients()
    server = HttpServer(
        AbsoluteTargets(Application([websocket, *routes(deps)], None, None, **application_settings(deps))),
        limits=HttpLimits(
            request_seconds=settings.edge_request_seconds,
            idle_seconds=settings.edge_idle_seconds,
            max_head_bytes=MAX_HEAD_BYTES,
        ),
        places=Places(min(settings.edge_connections or most, most), settings.edge_connections_per_address),
        name="clients",
        counted_as=deps.proxies.counted_as,
        answers=OwnAnswers(refusal=lambda full: unasked_answer(no_place(full)), unreadable=UNREADABLE),
        tls=None if certificate is None else certificate.context,
    )
    if files is not None and certificate is not None:

        def use(context: ssl.SSLContext) -> None:
            server.tls = context  # the server looks here for each connection

        life.supervise("certificate", partial(renew, files, certificate, use))
    return server


async def _stop(server: HttpServer) -> None:
    server.stop()
