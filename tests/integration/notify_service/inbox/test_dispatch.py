"""Processes that take in and dispatch at once, on one MongoDB, and break off: each message has one fate."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from mesh.clock import now_ms
from mesh.errors import Unavailable, unavailable
from mesh.ids import new_object_id
from notify_service.adapters.mongo.database import open_mongo, to_time
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.adapters.mongo.stores import Stores
from notify_service.delivery.brake import BrakeLimits
from notify_service.delivery.device_handler import DeviceDeliveryHandler
from notify_service.delivery.engine import Deliver
from notify_service.delivery.trust import Trust
from notify_service.domain.decision import Policy
from notify_service.domain.delivery import Lane
from notify_service.domain.device import DeviceKind
from notify_service.domain.ledger import MAX_MESSAGES, Outcome
from notify_service.domain.notification import Message, NewMessage, ReadUpTo, Recipient
from notify_service.domain.preferences import MutedChat, Preferences
from notify_service.domain.push import PushKind, from_payload
from notify_service.inbox.dispatch import Dispatch
from notify_service.inbox.inbox import MAX_WAITING, Rhythm
from notify_service.inbox.last_look import LastLook
from notify_service.inbox.poller import InboxPoller
from notify_service.inbox.recheck import Attention
from notify_service.inbox.recheck_active import NoteActive
from notify_service.intake.intake import NotificationIntake
from notify_service.people.lookup import People
from notify_service.providers.log.sender import LogSender
from tests.integration.notify_service.delivery.deliveries import LIMITS, PACE, running_engine, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

    from mesh.mongo import Mongo
    from notify_service.domain.device import Device
    from notify_service.domain.notification import Notification
    from notify_service.domain.push import Push
    from notify_service.inbox.inbox import Inbox, InboxKey

RHYTHM = Rhythm(delay_ms=30, delay_max_ms=60, repeat_ms=0)
POLICY = Policy({DeviceKind.LOG, DeviceKind.FCM}, implicit_log_device=True, idle_ms=300_000)


class Unaware:
    """`Members` who have read nothing, or so far; asking about one chat may be a defect."""

    def __init__(self) -> None:
        self.defect = ""
        self.read_seq = 0

    async def attention(
        self,
        keys: Sequence[InboxKey],
        messages: Collection[tuple[str, str]],  # noqa: ARG002
    ) -> tuple[Sequence[Attention], Collection[str]]:
        if self.defect in {key.chat_id for key in keys}:
            raise KeyError("a defect")
        return [Attention(member=True, read_seq=self.read_seq, unread=1) for _ in keys], ()

    async def unread_totals(self, without: Mapping[str, Collection[str]]) -> Mapping[str, int]:
        return dict.fromkeys(without, 1)


class Provider:
    """A `Sender` that lists what it takes."""

    def __init__(self) -> None:
        self.took: list[tuple[str, str]] = []

    def provider(self, device: Device) -> str:  # noqa: ARG002
        return "log"

    async def send(self, push: Push, device: Device) -> str:  # noqa: ARG002
        self.took.append((push.kind.value, push.message_id))
        return ""


class NeverSettled:
    """`Inboxes` of a process that dies before its last step."""

    async def change(self, changes: Mapping[InboxKey, Callable[[Inbox], Inbox]]) -> NoReturn:  # noqa: ARG002
        raise unavailable("mongodb")


class Process:
    """What one notify_service does between the queue and the deliveries."""

    def __init__(self, stores: Stores, *, inboxes: Any = None) -> None:
        self.members = Unaware()
        people = People(stores.devices, stores.preferences)
        note_active = NoteActive(stores.active_users, after_ms=60_000)
        self.intake = NotificationIntake(
            inboxes=stores.inboxes,
            people=people,
            ledger=stores.ledger,
            digests=stores.digests,
            note_active=note_active,
            policy=POLICY,
        )
        self.dispatch = Dispatch(
            inboxes=inboxes or stores.inboxes,
            members=self.members,
            people=people,
            deliveries=stores.deliveries,
            handed_over=stores.deliveries,
            ledger=stores.ledger,
            digests=stores.digests,
            note_active=note_active,
            senders={DeviceKind.LOG: LogSender()},
            policy=POLICY,
            expire_ms=86_400_000,
        )
        self.poller = InboxPoller(stores.inboxes, self.dispatch, poll_seconds=0.01)


@pytest.fixture
async def mongo(mongo_url: str) -> AsyncIterator[Mongo]:
    """A database of the test's own: pollers take whatever is due."""
    async with open_mongo(mongo_url, f"test_{new_object_id()}") as found:
        await found.prepare(make_indexes)
        yield found


def stores_of(mongo: Mongo) -> Stores:
    return Stores.of(mongo, RHYTHM, digest_after_seconds=3_600)


@asynccontextmanager
async def polling(*pollers: InboxPoller) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(poller.run()) for poller in pollers]
    try:
        yield
    finally:
        await asyncio.gather(*(poller.stop() for poller in pollers))
        await asyncio.gather(*tasks)


def message(chat_id: str, seq: int) -> Message:
    return Message(new_object_id(), chat_id, seq, "alice", f"text {seq}", now_ms())


def to(*users: str) -> tuple[Recipient, ...]:
    return tuple(Recipient(user, 0) for user in users)


async def quiet(mongo: Mongo) -> None:
    """Returns once nothing waits."""
    async with asyncio.timeout(30):
        while await mongo.collection("inbox").count_documents({"due": {"$exists": True}}):
            await asyncio.sleep(0.02)


async def fates(mongo: Mongo, user: str) -> dict[str, list[str]]:
    """What was decided, by message."""
    found: dict[str, list[str]] = {}
    async for delivery in mongo.collection("deliveries").find({"userId": user}):
        for message_id in delivery["messageIds"]:
            found.setdefault(message_id, []).append("notified")
    async for entry in mongo.collection("ledger").find({"users": user}):
        for message_id in entry["messages"]:
            found.setdefault(str(message_id), []).append(entry["detail"])
    return found


async def test_each_message_has_one_fate_however_many_processes_meet(mongo: Mongo) -> None:
    stores = stores_of(mongo)
    processes = [Process(stores) for _ in range(3)]
    users, chat_id = [f"user-{number}" for number in range(12)], new_object_id()
    messages = [message(chat_id, seq) for seq in range(1, 31)]
    jobs = [NewMessage(each, to(*users)) for each in messages] * 2  # each is delivered twice
    random.Random(4).shuffle(jobs)
    async with polling(*(process.poller for process in processes)):
        await asyncio.gather(
            *(
                processes[place % 3].intake(jobs[start : start + 5])
                for place, start in enumerate(range(0, len(jobs), 5))
            )
        )
        await quiet(mongo)
    for user in users:
        decided = await fates(mongo, user)
        assert decided.keys() == {each.id for each in messages}
        assert {len(fate) for fate in decided.values()} == {1}
        assert {fate[0] for fate in decided.values()} <= {"notified", "collapsed"}


async def test_a_round_that_broke_off_is_made_again_and_tells_nobody_twice(mongo: Mongo) -> None:
    stores, chat_id = stores_of(mongo), new_object_id()
    breaks_off, successor = Process(stores, inboxes=NeverSettled()), Process(stores)
    await successor.intake([NewMessage(message(chat_id, 1), to("bob", "carol"))])
    soon = now_ms() + 1_000
    claimed = await stores.inboxes.claim(soon, soon + 30_000, 10)
    with pytest.raises(Unavailable):
        await breaks_off.dispatch(claimed)
    assert await stores.inboxes.claim(soon + 29_999, soon + 60_000, 10) == []

    again = await stores.inboxes.claim(soon + 30_000, soon + 60_000, 10)
    await successor.dispatch(again)
    for user in ("bob", "carol"):
        assert list((await fates(mongo, user)).values()) == [["notified"]]
    assert await stores.inboxes.claim(soon + 600_000, soon + 700_000, 10) == []


async def test_reading_while_a_round_is_under_way_clears_what_it_shows(mongo: Mongo) -> None:
    stores, chat_id = stores_of(mongo), new_object_id()
    process = Process(stores)
    await process.intake([NewMessage(message(chat_id, 1), to("bob"))])
    soon = now_ms() + 1_000
    claimed = await stores.inboxes.claim(soon, soon + 30_000, 10)
    await process.intake([ReadUpTo(chat_id, "bob", 1)])
    await process.dispatch(claimed)
    await process.dispatch(await stores.inboxes.claim(soon, soon + 30_000, 10))
    kinds = [
        from_payload(found["payload"]).kind
        async for found in mongo.collection("deliveries").find().sort("_id")
    ]
    assert kinds == [PushKind.SHOW, PushKind.CLEAR]
    assert await stores.inboxes.claim(soon + 600_000, soon + 700_000, 10) == []


async def test_what_was_read_before_a_round_was_made_again_is_taken_away(mongo: Mongo) -> None:
    stores, chat_id = stores_of(mongo), new_object_id()
    breaks_off, successor = Process(stores, inboxes=NeverSettled()), Process(stores)
    await successor.intake([NewMessage(message(chat_id, 1), to("bob"))])
    soon = now_ms() + 1_000
    with pytest.raises(Unavailable):
        await breaks_off.dispatch(await stores.inboxes.claim(soon, soon + 30_000, 10))
    successor.members.read_seq = 1
    for later in (soon + 30_000, soon + 60_000):
        await successor.dispatch(await stores.inboxes.claim(later, later + 30_000, 10))
    kinds = [
        from_payload(found["payload"]).kind
        async for found in mongo.collection("deliveries").find().sort("_id")
    ]
    assert kinds == [PushKind.SHOW, PushKind.CLEAR]
    assert await stores.inboxes.claim(soon + 600_000, soon + 700_000, 10) == []


async def test_what_was_handed_over_and_muted_before_the_round_was_made_again_goes_out(
    mongo: Mongo,
) -> None:
    stores, chat_id = stores_of(mongo), new_object_id()
    breaks_off, successor = Process(stores, inboxes=NeverSettled()), Process(stores)
    await successor.intake([NewMessage(message(chat_id, 1), to("bob"))])
    soon = now_ms() + 1_000
    with pytest.raises(Unavailable):
        await breaks_off.dispatch(await stores.inboxes.claim(soon, soon + 30_000, 10))
    await stores.preferences.replace("bob", Preferences(muted_chats=(MutedChat(chat_id),)))
    await successor.dispatch(await stores.inboxes.claim(soon + 30_000, soon + 60_000, 10))
    [waits] = [found async for found in mongo.collection("deliveries").find()]
    assert await stores.inboxes.why_outdated([("bob", from_payload(waits["payload"]))]) == {}
    await successor.intake([ReadUpTo(chat_id, "bob", 1)])
    await successor.dispatch(await stores.inboxes.claim(soon + 30_000, soon + 60_000, 10))
    kinds = [
        from_payload(found["payload"]).kind
        async for found in mongo.collection("deliveries").find().sort("_id")
    ]
    assert kinds == [PushKind.SHOW, PushKind.CLEAR]


@pytest.mark.parametrize("why", ["read", "collapsed"])
async def test_each_message_of_a_large_batch_finds_its_answer(mongo: Mongo, why: str) -> None:
    stores, chat_id = stores_of(mongo), new_object_id()
    process = Process(stores)
    messages = [message(chat_id, seq) for seq in range(1, MAX_WAITING + 1)]
    await process.intake([NewMessage(each, to("bob")) for each in messages])
    if why == "read":
        process.members.read_seq = MAX_WAITING
    soon = now_ms() + 1_000
    await process.dispatch(await stores.inboxes.claim(soon, soon + 30_000, 10))
    decided = await fates(mongo, "bob")
    notified = [] if why == "read" else [["notified"]] * MAX_MESSAGES
    assert [decided.get(each.id) for each in messages] == [[why]] * (MAX_WAITING - len(notified)) + notified


async def test_one_inbox_that_cannot_be_told_keeps_no_other_from_it(mongo: Mongo) -> None:
    stores = stores_of(mongo)
    process = Process(stores)
    chats = [new_object_id() for _ in range(3)]
    await process.intake([NewMessage(message(chat_id, 1), to(f"user-{chat_id}")) for chat_id in chats])
    process.members.defect = chats[1]
    async with polling(process.poller):
        async with asyncio.timeout(30):
            while await mongo.collection("deliveries").count_documents({}) < 2:
                await asyncio.sleep(0.02)
    notified = {found["chatId"] async for found in mongo.collection("deliveries").find()}
    assert notified == {chats[0], chats[2]}
    process.members.defect = ""
    later = now_ms() + 60_000
    await process.dispatch(await stores.inboxes.claim(later, later + 1, 10))
    assert await mongo.collection("deliveries").count_documents({}) == 3, "it had its turn again"


async def test_after_an_outage_a_device_is_shown_what_is_true_by_then(mongo: Mongo) -> None:
    stores = stores_of(mongo)
    process = Process(stores)
    again, read, stays = (new_object_id() for _ in range(3))
    first = {chat_id: message(chat_id, 1) for chat_id in (again, read, stays)}
    newer = message(again, 2)

    async def tell(*jobs: Notification) -> None:
        await process.intake(jobs)
        await process.dispatch(await stores.inboxes.claim(now_ms() + 1_000, now_ms() + 30_000, 10))

    # The provider is down, so all of it waits.
    await tell(*(NewMessage(each, to("bob")) for each in first.values()))
    await tell(NewMessage(newer, to("bob")), ReadUpTo(read, "bob", 1))
    a_minute_ago = to_time(now_ms() - 60_000)
    await mongo.collection("deliveries").update_many({}, {"$set": {"createdAt": a_minute_ago}})

    provider = Provider()
    people = People(stores.devices, stores.preferences)
    last_look = LastLook(stores.inboxes, process.members, people, POLICY)
    handler = DeviceDeliveryHandler(
        stores.devices, {DeviceKind.LOG: provider}, stores.ledger, last_look, Trust(BrakeLimits())
    )
    async with running_engine(Deliver(stores.deliveries, {Lane.DEVICE: handler}, LIMITS, PACE)):
        await settled(mongo, 5)
    assert sorted(provider.took) == sorted([("show", newer.id), ("clear", ""), ("show", first[stays].id)])
    replaced = await stores.ledger.find("bob", first[again].id, 10)
    seen = await stores.ledger.find("bob", first[read].id, 10)
    assert {(entry.outcome, entry.detail) for entry in replaced} == {(Outcome.SUPPRESSED, "collapsed")}
    assert {(entry.outcome, entry.detail) for entry in seen} == {
        (Outcome.SUPPRESSED, "read"),
        (Outcome.CLEARED, "read"),
    }


async def test_a_digest_is_planned_for_whom_something_may_stay_unread(mongo: Mongo) -> None:
    stores, chat_id, at_ms = stores_of(mongo), new_object_id(), now_ms()
    process = Process(stores)
    people = ("notified", "only-mail", "muted", "active", "no-mail")
    for user in people:
        if user != "no-mail":
            await stores.devices.register(user, DeviceKind.EMAIL, f"{user}@example.com", "", at_ms, keep=50)
    await stores.devices.register("notified", DeviceKind.LOG, "log", "", at_ms, keep=50)
    await stores.preferences.replace("muted", Preferences(muted_chats=(MutedChat(chat_id),)))
    active = Recipient("active", at_ms)
    absent = to(*(user for user in people if user != "active"))
    await process.intake([NewMessage(message(chat_id, 1), (*absent, active))])

    async def planned() -> set[str]:
        return {found["_id"] async for found in mongo.collection("digests").find()}

    assert await planned() == {"only-mail", "active"}
    await process.dispatch(await stores.inboxes.claim(now_ms() + 1_000, now_ms() + 30_000, 10))
    assert await planned() == {"only-mail", "active", "notified"}
