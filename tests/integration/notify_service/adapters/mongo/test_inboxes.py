"""Inboxes in MongoDB: nothing is lost or claimed twice, however many processes use them at once."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from mesh.ids import new_object_id
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.inbox import MongoInboxes
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.domain.notification import Message
from notify_service.domain.wording import preview
from notify_service.inbox.inbox import Arrival, Inbox, InboxKey, Rhythm, Shown, WaitingMessage
from notify_service.inbox.poller import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

START = 1_700_000_000_000
RHYTHM = Rhythm(delay_ms=1_000, delay_max_ms=5_000, repeat_ms=10_000)


@pytest.fixture
async def inboxes(mongo_url: str) -> AsyncIterator[MongoInboxes]:
    """Inboxes in a database of their own: claiming takes whatever is due."""
    async with open_mongo(mongo_url, f"test_{new_object_id()}") as mongo:
        await mongo.prepare(make_indexes)
        yield MongoInboxes(mongo, RHYTHM)


def new_key() -> InboxKey:
    return InboxKey(f"user:{new_object_id()}", new_object_id())


def arrival(key: InboxKey, seq: int, at_ms: int = START) -> Arrival:
    message = Message(f"{seq:024x}", key.chat_id, seq, "alice", f"text {seq}", START - 5, chat_name="Friends")
    return Arrival(WaitingMessage(message.id, seq, mentions=True), preview(message), False, True, at_ms)


async def take(inboxes: MongoInboxes, key: InboxKey, *seqs: int) -> None:
    for seq in seqs:
        await inboxes.change({key: partial(Inbox.take, arrival=arrival(key, seq))})


async def stored(inboxes: MongoInboxes, key: InboxKey) -> Inbox:
    seen: list[Inbox] = []

    def look(inbox: Inbox) -> Inbox:
        seen.append(inbox)
        return inbox

    await inboxes.change({key: look})
    return seen[-1]


def settlement(claimed: Inbox, shown: Shown | None) -> Callable[[Inbox], Inbox]:
    assert claimed.firing
    return partial(
        Inbox.settle,
        claim_id=claimed.claim_id,
        batch_id=claimed.firing.id,
        shown=shown,
        cleared_id="",
        at_ms=START + 1_001,
    )


async def test_everything_that_is_stored_comes_back(inboxes: MongoInboxes) -> None:
    key = new_key()
    await take(inboxes, key, 1)
    [claimed] = await inboxes.claim(START + 1_000, START + 9_000, 10)
    assert claimed.firing
    shown = Shown(claimed.firing.id, 1, new_object_id(), (new_object_id(), "0" * 24))
    settle = settlement(claimed, shown)
    await inboxes.change({key: settle})
    await take(inboxes, key, 2, 3)
    await inboxes.change({key: partial(Inbox.read, seq=1)})

    expected = Inbox(key).take(arrival(key, 1)).claim(claimed.claim_id, START + 9_000)
    expected = settle(expected).take(arrival(key, 2)).take(arrival(key, 3)).read(1)
    found = await stored(inboxes, key)
    assert found.version
    assert found == Inbox(
        **{name: getattr(expected, name) for name in Inbox.__slots__} | {"version": found.version}
    )
    await inboxes.change({key: partial(Inbox.claim, claim_id=new_object_id(), until_ms=START + 20_000)})
    assert (await stored(inboxes, key)).claimed_until_ms == START + 20_000


async def test_what_is_not_changed_is_not_made(inboxes: MongoInboxes) -> None:
    key = new_key()
    await inboxes.change({key: partial(Inbox.read, seq=5)})
    assert not (await stored(inboxes, key)).version


async def test_changes_that_meet_are_all_made(inboxes: MongoInboxes) -> None:
    keys = [new_key() for _ in range(3)]

    async def writer(seq: int) -> None:
        await inboxes.change({key: partial(Inbox.take, arrival=arrival(key, seq)) for key in keys})

    await asyncio.gather(*(writer(seq) for seq in range(1, 11)))
    for key in keys:
        waiting = (await stored(inboxes, key)).waiting
        assert waiting
        assert [message.seq for message in waiting.messages] == list(range(1, 11))


async def test_a_claim_that_others_build_on_at_once_is_still_one(inboxes: MongoInboxes) -> None:
    keys = [new_key() for _ in range(30)]
    await inboxes.change({key: partial(Inbox.take, arrival=arrival(key, 1)) for key in keys})

    async def arrivals() -> None:
        for seq in range(2, 8):
            await inboxes.change({key: partial(Inbox.take, arrival=arrival(key, seq)) for key in keys})

    async def claims() -> list[Inbox]:
        claimed: list[Inbox] = []
        async with asyncio.timeout(30):
            while len(claimed) < len(keys):
                claimed += await inboxes.claim(START + 5_000, START + 90_000, 100)
        return claimed

    claimed, _ = await asyncio.gather(claims(), arrivals())
    assert sorted(inbox.key.user_id for inbox in claimed) == sorted(key.user_id for key in keys)


async def test_what_is_due_is_claimed_by_one_until_its_time_is_over(inboxes: MongoInboxes) -> None:
    keys = [new_key() for _ in range(40)]
    await inboxes.change({key: partial(Inbox.take, arrival=arrival(key, 1)) for key in keys})
    assert await inboxes.claim(START + 999, START + 9_000, 100) == []

    rounds = await asyncio.gather(*(inboxes.claim(START + 1_000, START + 9_000, 100) for _ in range(4)))
    claimed = [inbox.key for found in rounds for inbox in found]
    assert len(claimed) == len(set(claimed)) == len(keys)
    assert await inboxes.claim(START + 8_999, START + 20_000, 100) == []

    again = await inboxes.claim(START + 9_000, START + 20_000, 100)
    assert {inbox.key for inbox in again} == set(keys)


async def test_the_longest_due_are_claimed_first_or_the_latest(inboxes: MongoInboxes) -> None:
    keys = [new_key() for _ in range(6)]
    for place, key in enumerate(keys):
        await inboxes.change({key: partial(Inbox.take, arrival=arrival(key, 1, START - 100 * place))})
    claimed = await inboxes.claim(START + 5_000, START + 9_000, 2)
    assert [inbox.key for inbox in claimed] == [keys[5], keys[4]]
    latest = await inboxes.claim(START + 5_000, START + 9_000, 2, latest_first=True)
    assert [inbox.key for inbox in latest] == [keys[0], keys[1]]


async def test_an_arrival_during_the_claim_is_kept_for_the_next_time(inboxes: MongoInboxes) -> None:
    key = new_key()
    await take(inboxes, key, 1)
    [claimed] = await inboxes.claim(START + 1_000, START + 9_000, 10)
    await take(inboxes, key, 2)
    assert claimed.firing
    settle = settlement(claimed, None)
    await inboxes.change({key: settle})
    [after] = await inboxes.claim(START + 1_500, START + 9_000, 10)
    assert after.firing
    assert [message.seq for message in after.firing.messages] == [2]


async def test_a_page_of_a_large_group_is_stored_at_once(inboxes: MongoInboxes) -> None:
    chat_id = new_object_id()
    keys = [InboxKey(f"user-{number}", chat_id) for number in range(700)]
    await inboxes.change({key: partial(Inbox.take, arrival=arrival(key, 1)) for key in keys})
    claimed = [await inboxes.claim(START + 1_000, START + 9_000, AT_ONCE) for _ in range(4)]
    assert [len(found) for found in claimed] == [200, 200, 200, 100]


async def test_waiting_is_known_by_user_and_message(inboxes: MongoInboxes) -> None:
    key = new_key()
    await take(inboxes, key, 7)
    message_id = f"{7:024x}"
    assert await inboxes.is_waiting(key.user_id, message_id)
    assert not await inboxes.is_waiting(key.user_id, new_object_id())
    assert not await inboxes.is_waiting("somebody else", message_id)
    [claimed] = await inboxes.claim(START + 1_000, START + 9_000, 10)
    assert await inboxes.is_waiting(key.user_id, message_id), "it is being decided"
    assert claimed.firing
    settle = settlement(claimed, None)
    await inboxes.change({key: settle})
    assert not await inboxes.is_waiting(key.user_id, message_id)
