"""The composition root: the only module that builds adapters; `providers.registry` opens the providers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

from mesh.admin import open_admin
from mesh.amqp.connection import Broker
from mesh.amqp.depths import QueueDepths
from mesh.amqp.topology import EMAIL_SEND, EVENT_HOOKS, NOTIFICATION_SEND
from mesh.lifecycle import Lifecycle
from mesh.mongo import Mongo
from mesh.readiness import Readiness
from mesh.rpc.channel import RpcChannel, open_channel
from mesh.rpc.server import RpcServer
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.indexes import make_needed, make_others
from notify_service.adapters.mongo.keys import MongoKeyStore
from notify_service.adapters.mongo.stores import Stores
from notify_service.adapters.persist import members, recent_messages, unread_chats
from notify_service.delivery.brake import BrakeLimits
from notify_service.delivery.device_handler import DeviceDeliveryHandler
from notify_service.delivery.engine import Deliver, Pace
from notify_service.delivery.provider_limiter import Limits
from notify_service.delivery.trust import Trust
from notify_service.delivery.upkeep import Upkeep
from notify_service.domain.address import require_url
from notify_service.domain.decision import Policy
from notify_service.domain.delivery import Lane
from notify_service.domain.device import DeviceKind
from notify_service.email.delivery_handler import EmailDeliveryHandler
from notify_service.email.intake import EmailIntake
from notify_service.email.proto_codec import EMAILS
from notify_service.email.queue import BrokerEmailQueue
from notify_service.email.renderer import TemplateEmailRenderer
from notify_service.email.send_digests import DigestTimes, SendDigests
from notify_service.email.unsubscribe import Unsubscribe, UnsubscribeTokens
from notify_service.inbox.dispatch import Dispatch
from notify_service.inbox.inbox import Rhythm
from notify_service.inbox.last_look import LastLook
from notify_service.inbox.poller import InboxPoller
from notify_service.inbox.recheck_active import NoteActive, RecheckActive
from notify_service.intake.intake import NotificationIntake
from notify_service.intake.proto_codec import NOTIFICATIONS
from notify_service.ledger.explain import ExplainNotification
from notify_service.ledger.query import LedgerQuery
from notify_service.people.devices import Devices, GetPushConfig
from notify_service.people.lookup import People
from notify_service.people.preferences import UserPreferences
from notify_service.ports import DeliveryHandler, Mailer, Sender
from notify_service.providers.context import ProviderContext
from notify_service.providers.registry import NAMED_BY_SETTINGS, open_senders
from notify_service.providers.smtp.mailer import open_mailer
from notify_service.providers.web_push.vapid import Vapid
from notify_service.providers.webhook.sender import WebhookClient
from notify_service.rpc.notify import NotifyRpc, NotifyUseCases
from notify_service.rpc.webhooks import WebhookRpc
from notify_service.settings import NotifySettings
from notify_service.webhooks.dead_events import BrokerDeadEvents
from notify_service.webhooks.delivery_desk import HookDeliveryDesk
from notify_service.webhooks.delivery_handler import HookDeliveryHandler
from notify_service.webhooks.intake import EventIntake
from notify_service.webhooks.known_subscriptions import KnownSubscriptions
from notify_service.webhooks.proto_codec import EVENTS
from notify_service.webhooks.subscriptions import Subscriptions
from notify_service.work import Work
from parley.notify.v1.notify_service_pb2_grpc import add_NotifyServiceServicer_to_server
from parley.notify.v1.webhook_service_pb2_grpc import add_WebhookServiceServicer_to_server
from parley.persist.v1.persist_service_pb2_grpc import PersistServiceStub

_GRPC_GRACE_SECONDS: Final = 10.0
_DIGEST_POLL_SECONDS: Final = 5.0
_ACTIVE_POLL_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Transports:
    """The ways out to people and integrators."""

    senders: Mapping[DeviceKind, Sender]
    vapid: Vapid
    mailer: Mailer | None
    hooks: WebhookClient

    @classmethod
    async def open(cls, mongo: Mongo, settings: NotifySettings, lifecycle: Lifecycle) -> Self:
        """Those that the settings name; opens no connection yet."""
        context = await ProviderContext.open(settings, lifecycle, MongoKeyStore(mongo))
        mailer = await open_mailer(settings, lifecycle)
        return cls(open_senders(context), context.vapid, mailer, WebhookClient(context.guarded))

    @property
    def kinds(self) -> frozenset[DeviceKind]:
        """Kinds of devices that can be registered."""
        return frozenset(self.senders) | ({DeviceKind.EMAIL} if self.mailer else frozenset())


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the rest is made of."""

    settings: NotifySettings
    lifecycle: Lifecycle
    work: Work
    broker: Broker
    persist: PersistServiceStub
    members: members.PersistMembers
    people: People
    policy: Policy
    stores: Stores
    transports: _Transports
    known: KnownSubscriptions
    tokens: UnsubscribeTokens

    def last_look(self) -> LastLook:
        """What is asked before a push that had to wait goes out."""
        return LastLook(self.stores.inboxes, self.members, self.people, self.policy)


async def serve(settings: NotifySettings, lifecycle: Lifecycle) -> Mapping[str, int]:
    """Starts everything; gives the bound ports. Does not wait for the backing servers."""
    readiness = Readiness()
    url = settings.mongo_url.get_secret_value()
    mongo = await lifecycle.enter(open_mongo(url, operation_seconds=settings.notify_mongo_seconds))
    readiness.add("mongodb", mongo.check, field="mongo_url")
    broker = await lifecycle.enter(Broker(settings.amqp_url, name="notify"))
    readiness.add("rabbitmq", broker.check, field="amqp_url")
    channel = await _open_persist(settings, lifecycle)
    readiness.add("persist", channel.check, required=False, field="persist_target")
    stores = Stores.of(mongo, _rhythm(settings), digest_after_seconds=settings.notify_digest_after_seconds)
    transports = await _Transports.open(mongo, settings, lifecycle)
    persist = PersistServiceStub(channel)
    parts = _Parts(
        settings=settings,
        lifecycle=lifecycle,
        work=Work(lifecycle, mongo.wait_prepared),
        broker=broker,
        persist=persist,
        members=members.PersistMembers(persist),
        people=People(stores.devices, stores.preferences),
        policy=_policy(settings, transports),
        stores=stores,
        transports=transports,
        known=KnownSubscriptions(stores.subscriptions),
        tokens=UnsubscribeTokens(settings.service_secret.get_secret_value()),
    )

    server = await lifecycle.enter(
        RpcServer("notify", settings.service_secret, tls=settings.tls, concurrency=settings.rpc_concurrency)
    )
    server.add(add_NotifyServiceServicer_to_server, _notify_rpc(parts))
    server.add(add_WebhookServiceServicer_to_server, _webhook_rpc(parts))
    port = await server.start(settings.bind_host, settings.notify_port, field="notify_port")
    admin = await lifecycle.enter(
        open_admin(settings.bind_host, settings.notify_admin_port, readiness, field="notify_admin_port")
    )
    readiness.on_change(server.set_serving)
    lifecycle.supervise("readiness", readiness.run)
    lifecycle.supervise("queue depths", QueueDepths(broker).run)

    later = partial(make_others, keep_days=settings.notify_ledger_days)
    lifecycle.supervise("make indexes", partial(mongo.prepare, make_needed, later))
    engine = _start_delivering(parts)
    _start_inboxes(parts, engine)
    _start_mailing(parts, engine)
    _start_hooks(parts, engine)
    lifecycle.on_drain("grpc", partial(server.stop, _GRPC_GRACE_SECONDS))
    lifecycle.on_drain("readiness", readiness.start_drain)
    return {"grpc": port, "admin": admin}


async def _open_persist(settings: NotifySettings, lifecycle: Lifecycle) -> RpcChannel:
    return await lifecycle.enter(
        open_channel(
            settings.persist_target,
            caller="notify",
            callee="persist",
            secret=settings.service_secret,
            tls=settings.tls,
            idempotent=sorted(
                {
                    *members.IDEMPOTENT_CALLS,
                    *recent_messages.IDEMPOTENT_CALLS,
                    *unread_chats.IDEMPOTENT_CALLS,
                }
            ),
            http_proxy=settings.rpc_http_proxy,
        )
    )


def _notify_rpc(parts: _Parts) -> NotifyRpc:
    stores, transports, loopback = parts.stores, parts.transports, parts.settings.notify_allow_loopback
    return NotifyRpc(
        NotifyUseCases(
            devices=Devices(stores.devices, transports.kinds, allow_loopback=loopback),
            push_config=GetPushConfig(transports.kinds, transports.vapid),
            preferences=UserPreferences(stores.preferences),
            unsubscribe=Unsubscribe(parts.tokens, stores.preferences),
            ledger=LedgerQuery(stores.ledger),
            explain=ExplainNotification(
                stores.inboxes, stores.deliveries, stores.ledger, stores.devices, stores.preferences
            ),
        )
    )


def _webhook_rpc(parts: _Parts) -> WebhookRpc:
    stores, settings = parts.stores, parts.settings
    check_url = partial(require_url, "spec.url", allow_loopback=settings.notify_allow_loopback)
    return WebhookRpc(
        Subscriptions(stores.subscriptions, parts.known, stores.deliveries, check_url),
        HookDeliveryDesk(parts.known, stores.deliveries, expire_seconds=settings.notify_hook_expire_seconds),
    )


def _start_delivering(parts: _Parts) -> Deliver:
    stores, settings = parts.stores, parts.settings
    limits = Limits(
        settings.notify_provider_concurrency, settings.notify_provider_rate, named=NAMED_BY_SETTINGS
    )
    pace = Pace.answering_within(settings.notify_send_seconds)
    engine = Deliver(stores.deliveries, _delivery_handlers(parts), limits, pace)
    parts.work.supervise("deliver", engine.run)
    parts.work.supervise("keep deliveries", Upkeep(stores.deliveries).run)
    parts.lifecycle.on_drain("deliveries", engine.drain)
    return engine


def _delivery_handlers(parts: _Parts) -> dict[Lane, DeliveryHandler]:
    stores, transports, settings = parts.stores, parts.transports, parts.settings
    trust = Trust(BrakeLimits(settings.notify_brake_share, settings.notify_brake_least))
    handlers: dict[Lane, DeliveryHandler] = {
        Lane.DEVICE: DeviceDeliveryHandler(
            stores.devices, transports.senders, stores.ledger, parts.last_look(), trust
        ),
        Lane.HOOK: HookDeliveryHandler(
            parts.known, stores.subscriptions, transports.hooks, BrokerDeadEvents(parts.broker)
        ),
    }
    if transports.mailer:
        handlers[Lane.EMAIL] = EmailDeliveryHandler(
            devices=stores.devices,
            preferences=stores.preferences,
            members=parts.members,
            renderer=TemplateEmailRenderer(
                settings.notify_smtp_from, settings.notify_public_url, parts.tokens
            ),
            mailer=transports.mailer,
            ledger=stores.ledger,
            trust=trust,
        )
    return handlers


def _start_inboxes(parts: _Parts, engine: Deliver) -> None:
    stores, settings = parts.stores, parts.settings
    people, policy = parts.people, parts.policy
    after_seconds = settings.notify_active_recheck_seconds
    note_active = NoteActive(stores.active_users, after_ms=_ms(after_seconds))
    dispatch = Dispatch(
        inboxes=stores.inboxes,
        members=parts.members,
        people=people,
        deliveries=engine,
        handed_over=stores.deliveries,
        ledger=stores.ledger,
        digests=stores.digests,
        note_active=note_active,
        senders=parts.transports.senders,
        policy=policy,
        expire_ms=_ms(settings.notify_push_expire_seconds),
    )
    poller = InboxPoller(stores.inboxes, dispatch)
    parts.work.supervise("poll inboxes", poller.run)
    parts.lifecycle.on_drain("inbox poller", poller.stop)
    recheck = RecheckActive(
        users=stores.active_users,
        activity=parts.members,
        ledger=stores.ledger,
        recent=recent_messages.PersistRecentMessages(parts.persist),
        inboxes=stores.inboxes,
        policy=policy,
        after_ms=_ms(after_seconds),
        poll_seconds=min(_ACTIVE_POLL_SECONDS, after_seconds),
    )
    parts.work.supervise("recheck active", recheck.run)
    intake = NotificationIntake(
        inboxes=stores.inboxes,
        people=people,
        ledger=stores.ledger,
        digests=stores.digests,
        note_active=note_active,
        policy=policy,
    )
    parts.work.consume(parts.broker, NOTIFICATION_SEND, NOTIFICATIONS, intake)


def _start_mailing(parts: _Parts, engine: Deliver) -> None:
    stores, settings = parts.stores, parts.settings
    if parts.transports.mailer is None:
        return
    digests = SendDigests(
        digests=stores.digests,
        unread=unread_chats.PersistUnreadChats(parts.persist),
        preferences=stores.preferences,
        devices=stores.devices,
        queue=BrokerEmailQueue(parts.broker),
        ledger=stores.ledger,
        times=DigestTimes(
            after_ms=_ms(settings.notify_digest_after_seconds),
            every_ms=_ms(settings.notify_digest_every_seconds),
        ),
        poll_seconds=min(_DIGEST_POLL_SECONDS, settings.notify_digest_after_seconds),
    )
    parts.work.supervise("mail digests", digests.run)
    intake = EmailIntake(engine, expire_seconds=settings.notify_push_expire_seconds)
    parts.work.consume(parts.broker, EMAIL_SEND, EMAILS, intake)


def _start_hooks(parts: _Parts, engine: Deliver) -> None:
    intake = EventIntake(
        parts.stores.inboxes,
        parts.known,
        engine,
        parts.stores.deliveries,
        expire_seconds=parts.settings.notify_hook_expire_seconds,
    )
    parts.work.consume(parts.broker, EVENT_HOOKS, EVENTS, intake)


def _policy(settings: NotifySettings, transports: _Transports) -> Policy:
    return Policy(
        kinds=frozenset(transports.senders),
        implicit_log_device=settings.is_development,
        idle_ms=_ms(settings.notify_idle_seconds),
        badge_counts_muted=settings.notify_badge_muted,
    )


def _rhythm(settings: NotifySettings) -> Rhythm:
    return Rhythm(
        delay_ms=_ms(settings.notify_delay_seconds),
        delay_max_ms=_ms(settings.notify_delay_max_seconds),
        repeat_ms=_ms(settings.notify_repeat_seconds),
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
