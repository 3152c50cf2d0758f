"""Subscriptions, from an event in the queue to a verified request, and what becomes of those nobody takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mesh.amqp.topology import EVENT_HOOKS
from mesh.clock import now_ms
from mesh.dead_letters.box import Selection
from mesh.errors import InvalidArgument, NotFound
from mesh.ids import new_object_id
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.deliveries import MongoDeliveries
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.domain.delivery import Lane, NewDelivery
from notify_service.webhooks.event import HookEventType
from notify_service.webhooks.subscription import HookKey
from parley.common.v1.error_pb2 import ErrorReason
from parley.events.v1.jobs_pb2 import EventBatch
from parley.notify.v1 import webhook_service_pb2 as pb
from tests.integration.notify_service.webhooks.hooks import ALL, Hooks, contents, message, removal, running
from tests.support.polling import eventually
from tests.support.providers.webhook_receiver import Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def hooks(amqp_url: str, mongo_url: str) -> AsyncIterator[Hooks]:
    async with running(amqp_url, mongo_url) as started:
        yield started


@pytest.fixture
async def impatient(amqp_url: str, mongo_url: str) -> AsyncIterator[Hooks]:
    """A service whose deliveries are given up at once: another attempt would come too late."""
    async with running(amqp_url, mongo_url, notify_hook_expire_seconds=0.4) as started:
        yield started


async def test_an_event_arrives_signed_and_can_be_looked_up(hooks: Hooks) -> None:
    subscription = await hooks.subscribe(label="the shop")
    event = message("grüße 👋")
    await hooks.publish(event)
    (request,) = await hooks.receiver.wait_for(1)
    assert request.document == {
        "type": "message.created",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "data": {
            "chatId": event.chat_id,
            "seq": 1,
            "number": 1,
            "epoch": 1,
            "id": event.message.id,
            "senderId": "alice",
            "type": "text",
            "content": "grüße 👋",
            "clientMsgId": event.message.client_msg_id,
            "mentions": ["bob"],
            "createdAt": "2026-01-02T03:04:05.678Z",
        },
    }
    (delivery,) = await hooks.settled(subscription, pb.HOOK_OUTCOME_SENT)
    assert delivery.id == request.id
    assert delivery.type == pb.HOOK_EVENT_TYPE_MESSAGE_CREATED
    assert (delivery.chat_id, delivery.seq, delivery.attempts) == (event.chat_id, 1, 1)
    assert await hooks.deliveries(subscription, pb.HOOK_OUTCOME_FAILED) == []
    assert await hooks.deliveries(subscription, pb.HOOK_OUTCOME_PENDING) == []
    assert hooks.receiver.forged == []


async def test_each_subscription_gets_what_it_asked_for(hooks: Hooks) -> None:
    chat_id, origin = new_object_id(), hooks.receiver.origin
    await hooks.subscribe(url=f"{origin}/all")
    await hooks.subscribe(url=f"{origin}/chat", chat_ids=[chat_id])
    await hooks.subscribe(url=f"{origin}/bob", actor_ids=["bob"])
    await hooks.subscribe(url=f"{origin}/removals", types=[pb.HOOK_EVENT_TYPE_MEMBER_REMOVED])
    await hooks.subscribe(url=f"{origin}/silent", include_content=False, chat_ids=[chat_id])
    await hooks.subscribe(url=f"{origin}/off", enabled=False)
    await hooks.publish(
        message("one", chat_id=chat_id, seq=1), removal(chat_id, 2), message("three", sender="bob", seq=3)
    )
    got: dict[str, list[int]] = {}
    for request in await hooks.receiver.wait_for(3 + 2 + 1 + 1 + 2):
        got.setdefault(request.path, []).append(request.document["data"]["seq"])
        if request.path == "/silent":
            assert "content" not in request.document["data"]
    assert {path: sorted(seqs) for path, seqs in got.items()} == {
        "/all": [1, 2, 3],
        "/chat": [1, 2],
        "/bob": [3],
        "/removals": [2],
        "/silent": [1, 2],
    }


async def test_a_redelivery_is_no_second_request(hooks: Hooks) -> None:
    await hooks.subscribe()
    first, last = message("first"), message("last")
    for _ in range(3):
        await hooks.publish(first)
    await hooks.publish(first, last)
    await hooks.receiver.wait_for(2)
    assert contents(hooks.receiver.received) == {"first", "last"}
    assert len(hooks.receiver.received) == 2


async def test_a_receiver_that_stumbles_gets_it_again_under_the_same_id(hooks: Hooks) -> None:
    subscription = await hooks.subscribe()
    hooks.receiver.replies.append(Reply(500, body="sorry"))
    await hooks.publish(message())
    first, second = await hooks.receiver.wait_for(2)
    assert (first.id, first.body) == (second.id, second.body)
    (delivery,) = await hooks.settled(subscription, pb.HOOK_OUTCOME_SENT)
    assert delivery.attempts == 2


async def test_what_nobody_takes_is_dead_lettered_and_replayed(impatient: Hooks) -> None:
    hooks = impatient
    subscription = await hooks.subscribe()
    hooks.receiver.otherwise = Reply(503, body="closed for the season")
    event = message("worth keeping")
    await hooks.publish(event)
    (letter,) = await hooks.letters(subscription.id)
    (delivery,) = await hooks.settled(subscription, pb.HOOK_OUTCOME_FAILED)
    assert letter.message_id == delivery.id
    assert "HTTP 503: closed for the season" in letter.reason
    assert "closed for the season" in delivery.detail
    batch = EventBatch.FromString(letter.body)
    assert (batch.subscription_id, list(batch.events)) == (subscription.id, [event])

    hooks.receiver.otherwise = Reply()
    assert await hooks.box.replay(EVENT_HOOKS, Selection(1, letter.message_id)) == 1
    await hooks.settled(subscription, pb.HOOK_OUTCOME_SENT)
    assert {request.id for request in hooks.receiver.received} == {delivery.id}
    assert await hooks.deliveries(subscription, pb.HOOK_OUTCOME_FAILED) == []


async def test_a_replayed_dead_letter_does_not_repeat_what_was_sent(hooks: Hooks) -> None:
    subscription = await hooks.subscribe()
    event = message("once")
    await hooks.publish(event)
    await hooks.settled(subscription, pb.HOOK_OUTCOME_SENT)
    await hooks.publish(event, subscription_id=subscription.id)
    await hooks.publish(message("after"))
    await hooks.receiver.wait_for(1, lambda request: request.document["data"]["content"] == "after")
    assert len(hooks.receiver.received) == 2


async def test_a_dead_letter_is_for_its_subscription_alone(hooks: Hooks) -> None:
    event = message("again")
    mine = await hooks.subscribe(url=f"{hooks.receiver.origin}/mine", chat_ids=[event.chat_id])
    await hooks.subscribe(url=f"{hooks.receiver.origin}/other")
    await hooks.publish(event, subscription_id=mine.id)
    await hooks.publish(event, subscription_id=new_object_id())
    await hooks.publish(message("after"))
    requests = await hooks.receiver.wait_for(2)
    assert {(request.path, request.document["data"]["content"]) for request in requests} == {
        ("/mine", "again"),
        ("/other", "after"),
    }


async def test_an_operator_sends_a_delivery_again(hooks: Hooks) -> None:
    subscription = await hooks.subscribe()
    await hooks.publish(message())
    (delivery,) = await hooks.settled(subscription, pb.HOOK_OUTCOME_SENT)
    replay = pb.ReplayHookDeliveryRequest(subscription_id=subscription.id, delivery_id=delivery.id)
    await hooks.stub.ReplayHookDelivery(replay)
    first, second = await hooks.receiver.wait_for(2)
    assert (first.id, first.body) == (second.id, second.body)

    other = await hooks.subscribe(enabled=False)
    for subscription_id, delivery_id, reason in (
        (other.id, delivery.id, ErrorReason.ERROR_REASON_DELIVERY_NOT_FOUND),
        (subscription.id, new_object_id(), ErrorReason.ERROR_REASON_DELIVERY_NOT_FOUND),
        (subscription.id, "no id", ErrorReason.ERROR_REASON_DELIVERY_NOT_FOUND),
        (new_object_id(), delivery.id, ErrorReason.ERROR_REASON_SUBSCRIPTION_NOT_FOUND),
    ):
        with pytest.raises(NotFound) as missing:
            await hooks.stub.ReplayHookDelivery(
                pb.ReplayHookDeliveryRequest(subscription_id=subscription_id, delivery_id=delivery_id)
            )
        assert missing.value.reason == reason


async def test_one_that_waits_is_sent_at_once(hooks: Hooks) -> None:
    subscription = await hooks.subscribe()
    hooks.receiver.replies.append(Reply(409, {"Retry-After": "600"}))
    await hooks.publish(message())
    (delivery,) = await hooks.settled(subscription, pb.HOOK_OUTCOME_PENDING)

    async def delayed() -> bool:
        (found,) = await hooks.deliveries(subscription, pb.HOOK_OUTCOME_PENDING)
        return found.at_ms - found.created_at_ms > 500_000

    await eventually(delayed)
    await hooks.stub.ReplayHookDelivery(
        pb.ReplayHookDeliveryRequest(subscription_id=subscription.id, delivery_id=delivery.id)
    )
    await hooks.receiver.wait_for(2)


async def test_a_receiver_that_wants_fewer_is_left_alone_for_as_long_as_it_says(hooks: Hooks) -> None:
    subscription = await hooks.subscribe(url=f"{hooks.receiver.origin}/busy")
    hooks.receiver.replies.append(Reply(429, {"Retry-After": "600"}))
    await hooks.publish(message("turned away"))
    await hooks.receiver.wait_for(1)

    async def turned_away() -> bool:
        (found,) = await hooks.deliveries(subscription, pb.HOOK_OUTCOME_PENDING)
        return "HTTP 429" in found.detail

    await eventually(turned_away)
    await hooks.subscribe(url=f"{hooks.receiver.origin}/witness")
    for number in range(3):
        await hooks.publish(message(f"later {number}"))
    await hooks.receiver.wait_for(3, lambda request: request.path == "/witness")
    assert [request.path for request in hooks.receiver.received].count("/busy") == 1
    assert len(await hooks.deliveries(subscription, pb.HOOK_OUTCOME_PENDING)) == 4


async def test_gone_disables_the_subscription_until_somebody_changes_it(hooks: Hooks) -> None:
    subscription = await hooks.subscribe()
    hooks.receiver.replies.append(Reply(410, body="we moved out"))
    await hooks.publish(message("the last straw"))
    (delivery,) = await hooks.settled(subscription, pb.HOOK_OUTCOME_FAILED)
    assert "we moved out" in delivery.detail
    (letter,) = await hooks.letters(subscription.id)
    assert "we moved out" in letter.reason
    disabled = await hooks.seen(subscription)
    assert not disabled.spec.enabled
    assert "we moved out" in disabled.disabled_because

    witness = await hooks.subscribe(url=f"{hooks.receiver.origin}/witness")
    await hooks.publish(message("nobody hears"))
    await hooks.settled(witness, pb.HOOK_OUTCOME_SENT)
    await hooks.stub.DeleteSubscription(pb.DeleteSubscriptionRequest(subscription_id=witness.id))
    disabled.spec.enabled = True
    changed = await hooks.stub.UpdateSubscription(
        pb.UpdateSubscriptionRequest(subscription_id=subscription.id, spec=disabled.spec)
    )
    assert changed.subscription.spec.enabled
    assert changed.subscription.disabled_because == ""
    await hooks.publish(message("back"))
    await hooks.stub.ReplayHookDelivery(
        pb.ReplayHookDeliveryRequest(subscription_id=subscription.id, delivery_id=delivery.id)
    )
    requests = await hooks.receiver.wait_for(3, lambda request: request.path == "/hook")
    assert contents(requests) == {"the last straw", "back"}


async def test_what_waits_for_a_disabled_subscription_waits_on(hooks: Hooks) -> None:
    subscription = await hooks.subscribe()
    hooks.receiver.replies.append(Reply(500))
    await hooks.publish(message())
    (request,) = await hooks.receiver.wait_for(1)

    async def switch(*, enabled: bool) -> None:
        subscription.spec.enabled = enabled
        await hooks.stub.UpdateSubscription(
            pb.UpdateSubscriptionRequest(subscription_id=subscription.id, spec=subscription.spec)
        )
        replay = pb.ReplayHookDeliveryRequest(subscription_id=subscription.id, delivery_id=request.id)
        await hooks.stub.ReplayHookDelivery(replay)  # it would come up by itself, and later

    async def held_back() -> bool:
        (waiting,) = await hooks.deliveries(subscription, pb.HOOK_OUTCOME_PENDING)
        return waiting.detail == "the subscription is disabled"

    await switch(enabled=False)
    await eventually(held_back)
    assert len(hooks.receiver.received) == 1
    await switch(enabled=True)
    (_, again) = await hooks.receiver.wait_for(2)
    assert again.id == request.id


async def test_what_waits_goes_by_what_the_subscription_wants_by_then(hooks: Hooks) -> None:
    subscription = await hooks.subscribe()
    hooks.receiver.replies.append(Reply(500))
    await hooks.publish(message())
    (request,) = await hooks.receiver.wait_for(1)
    replay = pb.ReplayHookDeliveryRequest(subscription_id=subscription.id, delivery_id=request.id)

    async def narrow(*chat_ids: str) -> None:
        subscription.spec.ClearField("chat_ids")
        subscription.spec.chat_ids.extend(chat_ids)
        await hooks.stub.UpdateSubscription(
            pb.UpdateSubscriptionRequest(subscription_id=subscription.id, spec=subscription.spec)
        )
        await hooks.stub.ReplayHookDelivery(replay)  # it would come up by itself, and later

    await narrow("f" * 24)
    (dropped,) = await hooks.settled(subscription, pb.HOOK_OUTCOME_FAILED)
    assert dropped.detail == "the subscription does not want it any more"
    assert len(hooks.receiver.received) == 1
    await narrow()
    (_, again) = await hooks.receiver.wait_for(2)
    assert again.id == request.id


async def test_after_a_rotation_either_secret_verifies(hooks: Hooks) -> None:
    subscription = await hooks.subscribe()
    old = hooks.receiver.secrets.pop()
    rotated = await hooks.stub.RotateSecret(pb.RotateSecretRequest(subscription_id=subscription.id))
    assert rotated.signing_secret not in {"", old}
    for number, secret in enumerate((old, rotated.signing_secret)):
        hooks.receiver.secrets = [secret]
        await hooks.publish(message(f"{number}"))
        await hooks.receiver.wait_for(number + 1)
    assert hooks.receiver.forged == []


async def test_a_secret_of_ones_own(hooks: Hooks) -> None:
    own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    wanted = pb.SubscriptionSpec(url=hooks.receiver.url, enabled=True)
    made = await hooks.stub.CreateSubscription(pb.CreateSubscriptionRequest(spec=wanted, signing_secret=own))
    assert made.signing_secret == own
    hooks.receiver.secrets = [own]
    await hooks.publish(message())
    await hooks.receiver.wait_for(1)
    assert own not in str(await hooks.stub.ListSubscriptions(pb.ListSubscriptionsRequest()))


async def test_what_waits_for_a_removed_subscription_is_given_up(hooks: Hooks) -> None:
    doomed = await hooks.subscribe(url=f"{hooks.receiver.origin}/doomed")
    hooks.receiver.otherwise = Reply(500)
    await hooks.publish(message("never"))
    await hooks.receiver.wait_for(1)
    await hooks.stub.DeleteSubscription(pb.DeleteSubscriptionRequest(subscription_id=doomed.id))
    hooks.receiver.otherwise = Reply()
    kept = await hooks.subscribe(url=f"{hooks.receiver.origin}/kept")
    await hooks.publish(message("after"))
    await hooks.settled(kept, pb.HOOK_OUTCOME_SENT)
    assert [one for one in hooks.receiver.received if one.path == "/doomed"][1:] == []
    dead = (await hooks.box.read(EVENT_HOOKS, ALL)).letters
    assert [one for one in dead if doomed.id.encode() in one.body] == []
    with pytest.raises(NotFound):
        await hooks.deliveries(doomed)
    with pytest.raises(NotFound):
        await hooks.stub.DeleteSubscription(pb.DeleteSubscriptionRequest(subscription_id=doomed.id))


async def test_a_malformed_event_dies_alone(hooks: Hooks) -> None:
    subscription = await hooks.subscribe()
    bad = message("secret words")
    bad.message.id = subscription.id[:-1] + "G"  # to be found among the dead letters
    await hooks.publish(message("good"), bad)
    await hooks.receiver.wait_for(1)
    assert contents(hooks.receiver.received) == {"good"}
    (letter,) = await hooks.letters(bad.message.id)
    assert "message.id" in letter.reason
    assert "secret words" not in letter.reason
    assert list(EventBatch.FromString(letter.body).events) == [bad]


async def test_a_delivery_that_cannot_be_read_is_kept_for_who_can(hooks: Hooks, mongo_url: str) -> None:
    subscription = await hooks.subscribe()
    payload = b"\xff\xff" + subscription.id.encode()
    key = HookKey(subscription.id, new_object_id(), 1, HookEventType.CHAT_UPDATED)
    broken = NewDelivery(
        key=str(key),
        lane=Lane.HOOK,
        provider=f"hook:{subscription.id}",
        target_id=subscription.id,
        payload=payload,
        created_at_ms=now_ms(),
        expires_at_ms=now_ms() + 60_000,
    )
    async with open_mongo(mongo_url) as mongo:
        await mongo.prepare(make_indexes)
        await MongoDeliveries(mongo).add([broken])
    (letter,) = await hooks.letters(subscription.id)
    assert letter.body == payload
    (delivery,) = await hooks.settled(subscription, pb.HOOK_OUTCOME_FAILED)
    assert "cannot be read" in delivery.detail
    assert letter.message_id == delivery.id


@pytest.mark.parametrize("body", [b"\xff\xff", b""], ids=["garbage", "empty"])
async def test_a_batch_that_cannot_be_read(hooks: Hooks, body: bytes) -> None:
    before = (await hooks.box.read(EVENT_HOOKS, ALL)).waiting
    await hooks.broker.publish(EVENT_HOOKS, body)

    async def one_more() -> bool:
        return (await hooks.box.read(EVENT_HOOKS, ALL)).waiting == before + 1

    await eventually(one_more)


async def test_what_is_refused(hooks: Hooks) -> None:
    good = pb.SubscriptionSpec(url=hooks.receiver.url, enabled=True)
    for spec, secret, field in (
        (pb.SubscriptionSpec(url="", enabled=True), "", "spec.url"),
        (pb.SubscriptionSpec(url="https://10.1.2.3/", enabled=True), "", "spec.url"),
        (pb.SubscriptionSpec(url="http://example.com/", enabled=True), "", "spec.url"),
        (pb.SubscriptionSpec(url="https://u:p@example.com/", enabled=True), "", "spec.url"),
        (pb.SubscriptionSpec(url=good.url, types=[pb.HOOK_EVENT_TYPE_UNSPECIFIED]), "", "spec.types"),
        (pb.SubscriptionSpec(url=good.url, chat_ids=["x"]), "", "spec.chat_ids"),
        (good, "whsec_short", "signing_secret"),
        (None, "", "spec"),
    ):
        with pytest.raises(InvalidArgument, match=rf"^{field}:"):
            await hooks.stub.CreateSubscription(
                pb.CreateSubscriptionRequest(spec=spec, signing_secret=secret)
            )
    for call in (
        hooks.stub.UpdateSubscription(
            pb.UpdateSubscriptionRequest(subscription_id=new_object_id(), spec=good)
        ),
        hooks.stub.UpdateSubscription(pb.UpdateSubscriptionRequest(subscription_id="x", spec=good)),
        hooks.stub.RotateSecret(pb.RotateSecretRequest(subscription_id="x")),
        hooks.stub.DeleteSubscription(pb.DeleteSubscriptionRequest(subscription_id="x")),
    ):
        with pytest.raises(NotFound):
            await call
    subscription = await hooks.subscribe()
    with pytest.raises(InvalidArgument, match=r"^limit:"):
        await hooks.stub.ListHookDeliveries(
            pb.ListHookDeliveriesRequest(subscription_id=subscription.id, limit=501)
        )


async def test_there_is_an_end_to_subscriptions(hooks: Hooks) -> None:
    for _ in range(100):
        await hooks.subscribe(enabled=False)
    with pytest.raises(InvalidArgument, match="there are 100"):
        await hooks.subscribe()
