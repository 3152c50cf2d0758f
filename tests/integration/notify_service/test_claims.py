"""Who may send, when several want to or one has died."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from mesh.ids import new_object_id
from notify_service.adapters.mongo.database import ensure_indexes, open_database
from notify_service.adapters.mongo.ledger import MongoLedger
from notify_service.domain.ledger import INTERRUPTED, LEASE_MS, Claim, Outcome, Slot
from notify_service.ports import Opening, Result
from tests.integration.notify_service.conftest import new_user

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

START = 1_800_000_000_000
LATER = START + LEASE_MS + 1
CHAT = "c" * 24


@pytest.fixture
async def ledger(mongo_url: str) -> AsyncIterator[MongoLedger]:
    async with open_database(mongo_url) as database:
        await ensure_indexes(database)
        yield MongoLedger(database)


def send() -> Opening:
    return Opening(Slot(new_user(), new_object_id(), new_object_id()), CHAT, Outcome.PENDING)


async def outcome(ledger: MongoLedger, opening: Opening) -> tuple[Outcome, str]:
    [entry] = await ledger.find(opening.slot.user_id, opening.slot.message_id, 10)
    return entry.outcome, entry.detail


async def test_of_many_at_once_one_sends(ledger: MongoLedger) -> None:
    opening = send()
    claims = await asyncio.gather(*(ledger.open([opening], f"holder {n}", START) for n in range(8)))
    assert sorted(claim.value for [claim] in claims) == ["granted"] + ["held"] * 7


async def test_a_lost_answer_costs_no_claim(ledger: MongoLedger) -> None:
    opening = send()
    for at_ms in (START, START, LATER):
        assert await ledger.open([opening], "me", at_ms) == [Claim.GRANTED]


async def test_what_is_recorded_is_settled_for_everybody(ledger: MongoLedger) -> None:
    opening, other = send(), send()
    await ledger.open([opening], "me", START)
    await ledger.record([Result(opening.slot, "me", Outcome.FAILED, "gone")], START + 5)
    assert await ledger.open([other, opening], "me", LATER) == [Claim.GRANTED, Claim.SETTLED]
    assert await ledger.open([opening], "you", LATER) == [Claim.SETTLED]
    assert await outcome(ledger, opening) == (Outcome.FAILED, "gone")


async def test_the_dead_are_taken_over_once(ledger: MongoLedger) -> None:
    opening = send()
    assert await ledger.open([opening], "first", START) == [Claim.GRANTED]
    assert await ledger.open([opening], "second", START + LEASE_MS - 1) == [Claim.HELD]
    takers = await asyncio.gather(*(ledger.open([opening], f"taker {n}", LATER) for n in range(4)))
    assert sorted(claim.value for [claim] in takers) == ["granted"] + ["held"] * 3

    assert await ledger.open([opening], "third", LATER + LEASE_MS - 1) == [Claim.HELD]
    assert await ledger.open([opening], "third", LATER + LEASE_MS) == [Claim.SETTLED]
    assert await outcome(ledger, opening) == (Outcome.FAILED, INTERRUPTED)


async def test_who_was_taken_over_from_writes_no_outcome(ledger: MongoLedger) -> None:
    opening = send()
    await ledger.open([opening], "slow", START)
    await ledger.open([opening], "taker", LATER)
    await ledger.record([Result(opening.slot, "slow", Outcome.FAILED, "too late")], LATER)
    assert await outcome(ledger, opening) == (Outcome.PENDING, "")
    await ledger.record([Result(opening.slot, "taker", Outcome.SENT)], LATER)
    assert await outcome(ledger, opening) == (Outcome.SENT, "")
