"""Events for integrators while MongoDB or RabbitMQ is away: all of them arrive, or are buried, in the end."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from devstack.servers import MongoServer, RabbitMQServer
from mesh.amqp.topology import EVENT_HOOKS
from mesh.dead_letters.box import open_box
from mesh.errors import Unavailable
from parley.notify.v1 import webhook_service_pb2 as pb
from tests.integration.notify_service.webhooks.hooks import ALL, contents, message, running
from tests.support.providers.webhook_receiver import Reply

pytestmark = pytest.mark.timeout(120)


async def test_events_wait_for_mongodb(amqp_url: str) -> None:
    with MongoServer() as mongo:
        async with running(amqp_url, mongo.url) as hooks:
            await hooks.subscribe()
            await hooks.publish(message("before"))
            await hooks.receiver.wait_for(1)
            mongo.kill()
            for number in range(5):
                await hooks.publish(message(f"during {number}"))
            with pytest.raises(Unavailable):
                await hooks.stub.ListSubscriptions(pb.ListSubscriptionsRequest())
            mongo.start()
            await hooks.receiver.wait_for(6)
            assert contents(hooks.receiver.received) == {"before", *(f"during {n}" for n in range(5))}


async def test_an_event_is_buried_once_the_broker_is_back(
    mongo_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with RabbitMQServer() as rabbitmq:
        async with running(rabbitmq.url, mongo_url, notify_hook_expire_seconds=0.4) as hooks:
            subscription = await hooks.subscribe()
            hooks.receiver.otherwise = Reply(0)
            await hooks.publish(message("nobody takes it"))
            (request,) = await hooks.receiver.wait_for(1)
            rabbitmq.kill()  # while the request hangs
            output = ""
            async with asyncio.timeout(30):
                while "deliveries.not_recorded" not in output:
                    await asyncio.sleep(0.02)
                    output += capsys.readouterr().out
            (waiting,) = await hooks.deliveries(subscription)
            assert waiting.outcome == pb.HOOK_OUTCOME_PENDING

            rabbitmq.start()
            (delivery,) = await hooks.settled(subscription, pb.HOOK_OUTCOME_FAILED)
            assert delivery.id == request.id
            async with open_box(SecretStr(rabbitmq.url)) as box:
                (letter,) = (await box.read(EVENT_HOOKS, ALL)).letters
            assert letter.message_id == request.id
