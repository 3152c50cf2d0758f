"""Who was not notified for being active is notified when the activity is over before it was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from pymongo import AsyncMongoClient

from mesh.clock import now_ms
from mesh.errors import Unavailable, unavailable
from mesh.ids import new_object_id
from notify_service.adapters.mongo.active_users import MongoActiveUserStore
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.adapters.mongo.stores import Stores
from notify_service.domain.decision import Policy
from notify_service.domain.device import DeviceKind
from notify_service.domain.notification import Message, NewMessage, Recipient
from notify_service.domain.preferences import MutedChat, Preferences
from notify_service.inbox.inbox import Inbox, InboxKey, Rhythm
from notify_service.inbox.recheck_active import NoteActive, RecheckActive
from notify_service.intake.intake import NotificationIntake
from notify_service.people.lookup import People
from parley.common.v1.chat_pb2 import Role
from parley.notify.v1 import notify_service_pb2 as pb
from parley.persist.v1 import persist_service_pb2 as persist_pb
from tests.integration.notify_service.conftest import Service, job, new_user, running
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from mesh.mongo import Mongo
    from notify_service.inbox.active_user import ActiveUser
    from parley.events.v1.jobs_pb2 import Notification

POLICY = Policy({DeviceKind.LOG}, implicit_log_device=True, idle_ms=300_000)
AFTER_MS = 60_000


async def send(service: Service, *jobs: Notification) -> None:
    """Stores the messages where the service can look them up, and tells it of them."""
    for each in jobs:
        message = each.new_message.message
        service.persist.said.setdefault(message.chat_id, []).append(message)
    await service.publish(*jobs)


async def forgotten(mongo_url: str, user: str) -> None:
    """Returns once the user was looked at, and nothing is left to find out."""
    async with AsyncMongoClient[dict[str, Any]](mongo_url) as client:
        users = client["parley_notify"]["active_users"]

        async def gone() -> bool | None:
            return None if await users.find_one({"_id": user}) else True

        await eventually(gone)


def details(entries: Sequence[pb.LedgerEntry]) -> list[str]:
    """The oldest first."""
    return [entry.detail for entry in reversed(entries)]


@pytest.fixture
async def quick(amqp_url: str, mongo_url: str) -> AsyncIterator[Service]:
    """A service that looks again soon."""
    async with running(amqp_url, mongo_url, notify_active_recheck_seconds=0.3) as started:
        yield started


async def test_who_closes_the_laptop_right_after_is_told_once(quick: Service) -> None:
    user = new_user()
    first = job(user, last_active_ms=now_ms() - 15_000)
    second = job(user, last_active_ms=now_ms() - 15_000, chat_id=first.new_message.message.chat_id, seq=2)
    await send(quick, first, second)
    [sent, *active] = await quick.settled(3, user_id=user)
    assert [entry.detail for entry in active] == ["active", "active"]
    assert sent.outcome == pb.OUTCOME_SENT
    ids = [each.new_message.message.id for each in (first, second)]
    assert list(sent.message_ids) == ids
    # Another look finds nothing that is not notified.
    third = job(user, last_active_ms=now_ms() - 15_000)
    await send(quick, third)
    entries = await quick.settled(5, user_id=user)
    notified = [list(e.message_ids) for e in entries if e.outcome == pb.OUTCOME_SENT]
    assert notified == [[third.new_message.message.id], ids]


async def test_who_has_read_it_before_leaving_is_not_told(quick: Service) -> None:
    user = new_user()
    quick.persist.attention[user] = persist_pb.Attention(role=Role.ROLE_MEMBER, read_seq=1)
    await send(quick, job(user, last_active_ms=(at_ms := now_ms()), created_at_ms=at_ms))
    assert details(await quick.settled(2, user_id=user)) == ["active", "read"]


async def test_who_does_something_later_has_seen_it(quick: Service, mongo_url: str) -> None:
    user = new_user()
    quick.persist.last_active[user] = now_ms() + 60_000
    await send(quick, job(user, last_active_ms=now_ms()))
    await quick.settled(1, user_id=user)
    await forgotten(mongo_url, user)
    assert details(await quick.ledger(user_id=user)) == ["active"]
    assert quick.persist.calls["ListMessages"] == 0


async def test_who_stays_and_does_nothing_is_told_when_idle(amqp_url: str, mongo_url: str) -> None:
    user, at_ms = new_user(), now_ms()
    settings: dict[str, Any] = {"notify_active_recheck_seconds": 0.2, "notify_idle_seconds": 1.5}
    async with running(amqp_url, mongo_url, **settings) as service:
        service.persist.last_active[user] = at_ms
        service.persist.attention[user] = persist_pb.Attention(
            role=Role.ROLE_MEMBER, unread=1, last_active_ms=at_ms
        )
        await send(service, job(user, last_active_ms=at_ms, created_at_ms=at_ms + 1))
        [sent, active] = await service.settled(2, user_id=user)
    assert (active.detail, sent.outcome) == ("active", pb.OUTCOME_SENT)
    assert sent.at_ms >= at_ms + 1_500


async def test_what_came_before_the_last_activity_was_seen(amqp_url: str, mongo_url: str) -> None:
    user, at_ms = new_user(), now_ms()
    settings: dict[str, Any] = {"notify_active_recheck_seconds": 0.2, "notify_idle_seconds": 1.5}
    async with running(amqp_url, mongo_url, **settings) as service:
        service.persist.last_active[user] = at_ms
        await send(service, job(user, last_active_ms=at_ms, created_at_ms=at_ms - 1))
        await service.settled(1, user_id=user)
        await forgotten(mongo_url, user)
        assert details(await service.ledger(user_id=user)) == ["active"]


async def test_who_was_active_at_the_second_look_is_told_when_gone(quick: Service) -> None:
    user, at_ms = new_user(), now_ms() - 15_000
    quick.persist.attention[user] = persist_pb.Attention(
        role=Role.ROLE_MEMBER, unread=1, last_active_ms=at_ms
    )
    quick.persist.last_active[user] = at_ms
    await send(quick, job(user))
    [active] = await quick.settled(1, user_id=user)
    assert active.detail == "active"
    del quick.persist.attention[user], quick.persist.last_active[user]
    [sent, _] = await quick.settled(2, user_id=user)
    assert sent.outcome == pb.OUTCOME_SENT


async def test_nobody_is_told_blindly_while_it_is_not_known_who_is_there(
    quick: Service, mongo_url: str
) -> None:
    user = new_user()
    quick.persist.last_active[user] = now_ms() + 60_000
    quick.persist.down = True
    await send(quick, job(user, last_active_ms=now_ms()))
    await quick.settled(1, user_id=user)

    async def asked() -> bool | None:
        return True if quick.persist.calls["GetLastActive"] else None

    await eventually(asked)
    quick.persist.down = False
    await forgotten(mongo_url, user)
    assert details(await quick.ledger(user_id=user)) == ["active"]


class Counting(MongoActiveUserStore):
    """Counts what it writes; may be of a process that dies before its last step."""

    def __init__(self, mongo: Mongo, *, dies: bool = False) -> None:
        super().__init__(mongo)
        self.armed: list[str] = []
        self.dies = dies

    async def arm(self, last_active: Mapping[str, int], due_ms: int) -> None:
        self.armed += last_active
        await super().arm(last_active, due_ms)

    async def settle(self, users: Collection[ActiveUser]) -> None:
        if self.dies:
            raise KeyError
        await super().settle(users)


class Nobody:
    """An `Activity` without any."""

    async def last_active(self, user_ids: Collection[str]) -> Mapping[str, int]:
        return dict.fromkeys(user_ids, 0)


@dataclass
class Said:
    """`RecentMessages`."""

    messages: list[Message]

    async def of_chats(self, chat_ids: Collection[str]) -> Mapping[str, Sequence[Message]]:
        return {chat_id: [m for m in self.messages[::-1] if m.chat_id == chat_id] for chat_id in chat_ids}


@pytest.fixture
async def mongo(mongo_url: str) -> AsyncIterator[Mongo]:
    """A database of the test's own."""
    async with open_mongo(mongo_url, f"test_{new_object_id()}") as found:
        await found.prepare(make_indexes)
        yield found


def stores_of(mongo: Mongo) -> Stores:
    return Stores.of(mongo, Rhythm(30, 60, 0), digest_after_seconds=3_600)


def take_in_of(stores: Stores, users: MongoActiveUserStore) -> NotificationIntake:
    return NotificationIntake(
        inboxes=stores.inboxes,
        people=People(stores.devices, stores.preferences),
        ledger=stores.ledger,
        digests=stores.digests,
        note_active=NoteActive(users, after_ms=AFTER_MS),
        policy=POLICY,
    )


def recheck_of(stores: Stores, users: MongoActiveUserStore, said: list[Message]) -> RecheckActive:
    return RecheckActive(
        users=users,
        activity=Nobody(),
        ledger=stores.ledger,
        recent=Said(said),
        inboxes=stores.inboxes,
        policy=POLICY,
        after_ms=AFTER_MS,
        poll_seconds=1,
    )


def message(chat_id: str, seq: int) -> Message:
    return Message(new_object_id(), chat_id, seq, "alice", f"text {seq}", now_ms())


async def inbox_of(stores: Stores, user: str, chat_id: str) -> Inbox:
    found: list[Inbox] = []

    def look(inbox: Inbox) -> Inbox:
        found.append(inbox)
        return inbox

    await stores.inboxes.change({InboxKey(user, chat_id): look})
    return found[0]


async def test_a_group_that_never_rests_costs_one_write_per_active_member(mongo: Mongo) -> None:
    stores, users, chat_id = stores_of(mongo), Counting(mongo), new_object_id()
    intake = take_in_of(stores, users)
    members = [f"user-{number}" for number in range(50)]
    for seq in range(1, 21):
        recipients = tuple(Recipient(user, now_ms()) for user in members)
        await intake([NewMessage(message(chat_id, seq), recipients)])
    assert sorted(users.armed) == sorted(members)
    assert await mongo.collection("active_users").count_documents({}) == 50
    assert await mongo.collection("inbox").count_documents({}) == 0


async def test_who_would_not_be_told_anyway_is_not_noted(mongo: Mongo) -> None:
    stores, users, chat_id = stores_of(mongo), Counting(mongo), new_object_id()
    await stores.preferences.replace("muted", Preferences(muted_chats=(MutedChat(chat_id),)))
    await stores.preferences.replace("off", Preferences(enabled=False))
    recipients = tuple(Recipient(user, now_ms()) for user in ("muted", "off", "bob"))
    await take_in_of(stores, users)([NewMessage(message(chat_id, 1), recipients)])
    assert users.armed == ["bob"]


async def test_a_look_that_broke_off_is_made_again_and_nothing_waits_twice(mongo: Mongo) -> None:
    stores, users, chat_id = stores_of(mongo), Counting(mongo), new_object_id()
    said, later = [message(chat_id, 1), message(chat_id, 2)], now_ms() + AFTER_MS + 1_000
    await take_in_of(stores, users)(
        [NewMessage(each, (Recipient("bob", now_ms() - 15_000),)) for each in said]
    )
    with pytest.raises(KeyError):
        await recheck_of(stores, Counting(mongo, dies=True), said).look(later)
    assert await recheck_of(stores, users, said).look(later + 59_999) == 0, "it is the other's"
    first = await inbox_of(stores, "bob", chat_id)
    assert first.waiting
    assert [each.id for each in first.waiting.messages] == [each.id for each in said]

    assert await recheck_of(stores, users, said).look(later + 60_000) == 1
    assert await inbox_of(stores, "bob", chat_id) == first
    assert await mongo.collection("active_users").count_documents({}) == 0


async def test_a_look_at_what_was_told_since_tells_it_no_more(mongo: Mongo) -> None:
    stores, users, chat_id = stores_of(mongo), Counting(mongo), new_object_id()
    said, later = [message(chat_id, 1)], now_ms() + AFTER_MS + 1_000
    await take_in_of(stores, users)([NewMessage(said[0], (Recipient("bob", now_ms() - 15_000),))])
    with pytest.raises(KeyError):
        await recheck_of(stores, Counting(mongo, dies=True), said).look(later)

    def notified(inbox: Inbox) -> Inbox:
        return replace(inbox, waiting=None, notified_seq=1, handled=(1,))

    await stores.inboxes.change({InboxKey("bob", chat_id): notified})
    assert await recheck_of(stores, users, said).look(later + 60_000) == 1
    assert (await inbox_of(stores, "bob", chat_id)).waiting is None


async def test_who_is_suppressed_while_being_looked_at_is_looked_at_again(mongo: Mongo) -> None:
    stores, users, at_ms = stores_of(mongo), MongoActiveUserStore(mongo), now_ms()
    await users.arm({"bob": at_ms - 1_000}, at_ms)
    [held] = await users.claim(10, at_ms)
    await users.arm({"bob": at_ms}, at_ms + 500)
    await users.settle([held])
    assert await recheck_of(stores, users, []).look(at_ms + 499) == 0
    [again] = await users.claim(10, at_ms + 500)
    assert (again.active_at_ms, again.until_ms) == (at_ms, at_ms + 500)


async def test_a_note_of_another_process_that_is_good_for_longer_is_not_lost_with_an_earlier_look(
    mongo: Mongo,
) -> None:
    stores, users, at_ms = stores_of(mongo), MongoActiveUserStore(mongo), now_ms()
    await users.arm({"bob": at_ms - 1_000}, at_ms)
    await users.arm({"bob": at_ms - 1_000}, at_ms + 500)
    recheck = recheck_of(stores, users, [])
    assert await recheck.look(at_ms) == 1
    assert await recheck.look(at_ms + 499) == 0
    assert await recheck.look(at_ms + 500) == 1
    assert await mongo.collection("active_users").count_documents({}) == 0


async def test_where_a_server_is_away_the_look_waits(mongo: Mongo) -> None:
    class Away(Nobody):
        async def last_active(self, user_ids: Collection[str]) -> NoReturn:  # noqa: ARG002
            raise unavailable("persist")

    stores, users, at_ms = stores_of(mongo), MongoActiveUserStore(mongo), now_ms()
    await users.arm({"bob": at_ms - 1_000}, at_ms)
    recheck = recheck_of(stores, users, [])
    recheck._activity = Away()
    with pytest.raises(Unavailable):
        await recheck.look(at_ms)
    [held] = await users.claim(10, at_ms)
    assert held.user_id == "bob"
