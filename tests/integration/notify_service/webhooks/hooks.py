"""A notify_service with subscriptions, a broker to publish events to, and a receiver of webhooks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mesh.amqp.connection import Broker
from mesh.amqp.topology import EVENT_HOOKS
from mesh.dead_letters.box import DeadLetterBox, Selection, open_box
from mesh.ids import new_object_id
from mesh.lifecycle import Lifecycle
from mesh.rpc.channel import open_channel
from notify_service.app import serve
from notify_service.settings import NotifySettings
from parley.common.v1.message_pb2 import Message, MessageType
from parley.events.v1.chat_event_pb2 import ChatEvent, MemberRemoved
from parley.events.v1.jobs_pb2 import EventBatch
from parley.notify.v1 import webhook_service_pb2 as pb
from parley.notify.v1.webhook_service_pb2_grpc import WebhookServiceStub
from tests.integration.notify_service.conftest import serving
from tests.support.polling import eventually
from tests.support.providers.webhook_receiver import Received, WebhookReceiver, webhook_receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mesh.dead_letters.letter import DeadLetter

SECRET = "a secret of the tests, 32 bytes and more"
ALL = Selection(10_000)


@dataclass(frozen=True)
class Hooks:
    """A running service, its broker, and one receiver."""

    stub: WebhookServiceStub
    broker: Broker
    box: DeadLetterBox
    receiver: WebhookReceiver

    async def subscribe(self, **spec: object) -> pb.Subscription:
        """A subscription to the receiver, which knows its secret."""
        wanted = pb.SubscriptionSpec(
            **({"url": self.receiver.url, "include_content": True, "enabled": True} | spec)  # type: ignore[arg-type]
        )
        made = await self.stub.CreateSubscription(pb.CreateSubscriptionRequest(spec=wanted))
        self.receiver.secrets.append(made.signing_secret)
        return made.subscription

    async def publish(self, *events: ChatEvent, subscription_id: str = "") -> None:
        batch = EventBatch(events=events, subscription_id=subscription_id)
        await self.broker.publish(EVENT_HOOKS, batch.SerializeToString())

    async def deliveries(
        self, subscription: pb.Subscription, outcome: pb.HookOutcome.ValueType = pb.HOOK_OUTCOME_UNSPECIFIED
    ) -> list[pb.HookDelivery]:
        answer = await self.stub.ListHookDeliveries(
            pb.ListHookDeliveriesRequest(subscription_id=subscription.id, outcome=outcome)
        )
        return list(answer.deliveries)

    async def settled(
        self, subscription: pb.Subscription, outcome: pb.HookOutcome.ValueType, count: int = 1
    ) -> list[pb.HookDelivery]:
        """Its deliveries once so many have ended so."""

        async def enough() -> list[pb.HookDelivery] | None:
            found = await self.deliveries(subscription, outcome)
            return found if len(found) >= count else None

        return await eventually(enough)

    async def letters(self, containing: str) -> list[DeadLetter]:
        """The dead letters with these characters, once there is one."""
        found: list[DeadLetter] = []

        async def some() -> bool:
            letters = (await self.box.read(EVENT_HOOKS, ALL)).letters
            found[:] = [one for one in letters if containing.encode() in one.body]
            return bool(found)

        await eventually(some)
        return found

    async def seen(self, subscription: pb.Subscription) -> pb.Subscription:
        """As it is stored now."""
        answer = await self.stub.ListSubscriptions(pb.ListSubscriptionsRequest())
        return next(found for found in answer.subscriptions if found.id == subscription.id)


@asynccontextmanager
async def running(amqp_url: str, mongo_url: str, **settings: object) -> AsyncIterator[Hooks]:
    """The service while entered; no subscription outlives it."""
    values = {
        "service_secret": SECRET,
        "amqp_url": amqp_url,
        "mongo_url": mongo_url,
        "notify_port": 0,
        "notify_admin_port": 0,
        "notify_allow_loopback": True,
        "notify_send_seconds": 1,
    }
    life = Lifecycle()
    try:
        ports = await serve(NotifySettings.model_validate(values | settings), life)
        await serving(ports["admin"])
        channel = await life.enter(
            open_channel(
                f"127.0.0.1:{ports['grpc']}", caller="edge", callee="notify", secret=SecretStr(SECRET)
            )
        )
        broker = await life.enter(Broker(SecretStr(amqp_url), name="test", publish_timeout_seconds=30.0))
        await broker.session()
        box = await life.enter(open_box(SecretStr(amqp_url)))
        stub = WebhookServiceStub(channel)
        async with webhook_receiver() as receiver:
            hooks = Hooks(stub, broker, box, receiver)
            try:
                yield hooks
            finally:
                left = await stub.ListSubscriptions(pb.ListSubscriptionsRequest())
                for subscription in left.subscriptions:
                    await stub.DeleteSubscription(
                        pb.DeleteSubscriptionRequest(subscription_id=subscription.id)
                    )
    finally:
        await life.close(15)


def message(content: str = "hello", *, chat_id: str = "", sender: str = "alice", seq: int = 1) -> ChatEvent:
    chat_id = chat_id or new_object_id()
    return ChatEvent(
        chat_id=chat_id,
        occurred_at_ms=1_767_323_045_678,
        epoch=1,
        seq=seq,
        number=seq,
        message=Message(
            id=new_object_id(),
            chat_id=chat_id,
            sender_id=sender,
            type=MessageType.MESSAGE_TYPE_TEXT,
            content=content,
            client_msg_id=new_object_id(),
            created_at_ms=1_767_323_045_678,
            mentions=["bob"],
        ),
    )


def removal(chat_id: str, seq: int) -> ChatEvent:
    return ChatEvent(
        chat_id=chat_id,
        occurred_at_ms=1_767_323_045_678,
        epoch=1,
        seq=seq,
        member_removed=MemberRemoved(actor_id="alice", user_id="bob"),
    )


def contents(requests: list[Received]) -> set[str]:
    return {request.document["data"]["content"] for request in requests}
