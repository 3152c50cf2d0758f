"""The composition root: the only module that builds adapters."""

from collections.abc import Callable, Collection, Mapping
from functools import partial

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.routing import PathMatches, Rule
from tornado.web import Application

from edge.actions import SessionServices
from edge.addresses import TrustedProxies, parse_networks
from edge.admission import Admission, AdmissionLimits
from edge.cluster_subscriber import ClusterSubscriber
from edge.connection import ConnectionLimits
from edge.deliveries import DeliveryReports
from edge.fanout import Fanout, chat_channel
from edge.gateway import Gateway
from edge.handshake import HandshakeHandler
from edge.identity import TokenVerifier, open_verifier
from edge.identity.dev_tokens import DevTokens
from edge.membership import Membership
from edge.presence_keeper import PresenceKeeper
from edge.probe import Probe
from edge.replay import Replay
from edge.rest import OriginPolicy, RestDeps, application_settings, routes
from edge.rest.errors import MAX_HEAD_BYTES
from edge.revocations import Revocations
from edge.rooms import Rooms
from edge.sends import SendQueue
from edge.settings import EdgeSettings
from edge.subscriber import Subscriber, Subscriptions, redis_connector
from edge.tls import Renewal
from edge.traces import ClientTraces
from mesh.admin import open_admin
from mesh.lifecycle import BindError, Lifecycle
from mesh.readiness import Readiness
from mesh.redis import node_url, open_redis
from mesh.redis_cluster.client import ClusterRedis
from mesh.rpc.channel import open_channel
from parley.chat.v1.chat_service_pb2 import Session
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from parley.events.v1.user_event_pb2 import UserEvent
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
    readiness.add("tokens", verifier.check)
    channel = await life.enter(
        open_channel(
            settings.chat_target,
            caller="edge",
            callee="chat",
            secret=settings.service_secret,
            tls=settings.tls,
            idempotent=_IDEMPOTENT,
        )
    )
    readiness.add("chat", channel.check)
    chats = ChatServiceStub(channel)
    notify_channel = await life.enter(
        open_channel(
            settings.notify_target,
            caller="edge",
            callee="notify",
            secret=settings.service_secret,
            tls=settings.tls,
            idempotent=_IDEMPOTENT_AT_NOTIFY,
        )
    )
    # Chatting goes on without it.
    readiness.add("notify", notify_channel.check, required=False)

    revocations = Revocations(chats)
    traces = ClientTraces(settings.edge_client_traces)
    gateway = await _build_gateway(
        settings, life, readiness, chats=chats, verifier=verifier, revocations=revocations, traces=traces
    )
    deps = RestDeps(
        chat=chats,
        notify=NotifyServiceStub(notify_channel),
        webhooks=WebhookServiceStub(notify_channel),
        verifier=verifier,
        revocations=revocations,
        readiness=readiness,
        origins=OriginPolicy.of(settings),
        max_body_bytes=settings.edge_max_body_bytes,
        proxies=TrustedProxies(parse_networks(settings.edge_trusted_proxies)),
        dev_tokens=DevTokens.allowed_by(settings),
        traces=traces,
    )
    admission = Admission(
        AdmissionLimits(
            at_once=settings.edge_handshakes_at_once,
            per_second=settings.edge_handshakes_per_second,
            connections_per_address=settings.edge_connections_per_address,
            per_second_per_address=settings.edge_handshakes_per_address,
        )
    )
    parts = {"deps": deps, "gateway": gateway, "admission": admission}
    websocket = Rule(PathMatches(r"/ws$"), HandshakeHandler, parts)
    application = Application([websocket, *routes(deps)], None, None, **application_settings(deps))
    certificate = settings.edge_certificate
    server = HTTPServer(
        application,
        ssl_options=certificate and certificate.context(),
        max_header_size=MAX_HEAD_BYTES,
        idle_connection_timeout=settings.edge_request_seconds,
        body_timeout=settings.edge_request_seconds,
    )
    if certificate is not None:
        # The server looks here for each connection.
        renewal = Renewal(certificate, use=lambda context: setattr(server, "ssl_options", context))
        life.supervise("certificate", renewal.run)
    port = _listen(server, settings)
    admin = await life.enter(
        open_admin(settings.bind_host, settings.edge_admin_port, readiness, field="edge_admin_port")
    )
    life.supervise("readiness", readiness.run)

    life.on_drain("connections", gateway.drain)
    life.on_drain("http", partial(_stop, server))
    life.on_drain("readiness", readiness.start_drain)
    return {"http": port, "admin": admin}


async def _build_gateway(
    settings: EdgeSettings,
    life: Lifecycle,
    readiness: Readiness,
    *,
    chats: ChatServiceStub,
    verifier: TokenVerifier,
    revocations: Revocations,
    traces: ClientTraces,
) -> Gateway:
    """Wires the parts of the fan-out, which know one another in a circle, and starts their tasks."""

    def on_gap() -> None:
        fanout.on_gap()
        gateway.on_gap()

    def on_message(channel: bytes, payload: bytes) -> None:
        fanout.on_message(channel, payload)

    def on_user_event(event: UserEvent) -> None:
        gateway.on_user_event(event)

    def on_revoked(session: Session) -> None:
        gateway.on_revoked(session)

    def on_gap_in(channels: Collection[bytes]) -> None:
        gateway.on_gap(fanout.on_gap_in(channels))

    subscriber, on_other = await _build_subscriptions(settings, life, on_message, on_gap, on_gap_in)
    readiness.add("redis", subscriber.check)
    rooms = Rooms(
        on_open=lambda chat_id: subscriber.want(chat_channel(chat_id)),
        on_empty=lambda chat_id: subscriber.unwant(chat_channel(chat_id)),
    )
    deliveries = DeliveryReports(chats)
    fanout = Fanout(rooms, deliveries, on_user_event=on_user_event, on_other=on_other)
    sends = SendQueue(chats, lanes=settings.edge_send_lanes, limit=settings.edge_send_queue)
    presence = PresenceKeeper(chats, on_revoked, renew_seconds=settings.edge_renew_seconds)
    services = SessionServices(
        chats=chats,
        sends=sends,
        membership=Membership(rooms, subscriber, chats),
        replay=Replay(rooms, subscriber, chats, deliveries, most_entries=settings.edge_resume_entries),
        presence=presence,
        verifier=verifier,
        revocations=revocations,
        traces=traces,
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
        ),
        # The drain of connections has half of the time: some must be left for sends to end and for goodbyes.
        drain_seconds=min(settings.edge_drain_spread_seconds, settings.drain_seconds / 5),
    )
    for name, run in {
        "subscriber": subscriber.run,
        "sends": sends.run,
        "deliveries": deliveries.run,
        "renew sessions": presence.renew,
        "close sessions": presence.close,
        "heartbeat": gateway.heartbeat,
        "recheck": gateway.recheck,
    }.items():
        life.supervise(name, run)
    return gateway


async def _build_subscriptions(
    settings: EdgeSettings,
    life: Lifecycle,
    on_message: Callable[[bytes, bytes], None],
    on_gap: Callable[[], None],
    on_gap_in: Callable[[Collection[bytes]], None],
) -> tuple[Subscriptions, Callable[[bytes], None]]:
    """The subscriptions, and what takes the messages that are for no chat and no user."""
    url = settings.redis_url
    # Nothing of it may fail fast: that would say nothing about the subscription.
    publisher = await life.enter(open_redis(url, max_connections=1, timeout_seconds=None))
    if isinstance(publisher, ClusterRedis):
        cluster = ClusterSubscriber(
            publisher,
            lambda node: redis_connector(node_url(url, node).get_secret_value())(),
            on_message=on_message,
            on_gap=on_gap_in,
            probe_seconds=settings.edge_probe_seconds,
        )
        return cluster, lambda _: None  # each of its connections probes itself
    subscriber = Subscriber(redis_connector(url.get_secret_value()), on_message=on_message, on_gap=on_gap)
    probe = Probe(subscriber, publisher, every_seconds=settings.edge_probe_seconds)
    life.supervise("probe", probe.run)
    return subscriber, probe.on_message


def _listen(server: HTTPServer, settings: EdgeSettings) -> int:
    try:
        sockets = bind_sockets(settings.edge_port, settings.bind_host, backlog=settings.edge_listen_backlog)
    except OSError as error:
        raise BindError(settings.bind_host, settings.edge_port, "edge_port") from error
    server.add_sockets(sockets)
    port: int = sockets[0].getsockname()[1]
    return port


async def _stop(server: HTTPServer) -> None:
    server.stop()
