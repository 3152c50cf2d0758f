"""The ledger in MongoDB: written once, read the newest first."""

from __future__ import annotations

from dataclasses import replace

from mesh.clock import now_ms
from mesh.ids import new_object_id
from notify_service.adapters.mongo.ledger import MongoLedger
from notify_service.domain.device import DeviceKind
from notify_service.domain.ledger import LedgerEntry, Outcome, entry_id
from tests.integration.notify_service.delivery.deliveries import store_at

NOW = now_ms()


def entry(number: int, *users: str, message_id: str = "", at_ms: int = NOW) -> LedgerEntry:
    return LedgerEntry(
        id=entry_id(at_ms, str(number), *users),
        user_ids=users,
        message_ids=(message_id or new_object_id(), new_object_id()),
        chat_id=new_object_id(),
        outcome=Outcome.SUPPRESSED,
        detail=f"reason {number}",
        at_ms=at_ms,
    )


async def test_the_ledger_gives_what_it_was_given_and_keeps_the_first_of_each(mongo_url: str) -> None:
    async with store_at(mongo_url) as (_, mongo):
        ledger, message_id = MongoLedger(mongo), new_object_id()
        attempt = LedgerEntry(
            entry_id(NOW, "x"),
            ("bob",),
            (message_id,),
            "c",
            Outcome.DELAYED,
            "503",
            NOW,
            "d",
            DeviceKind.FCM,
            3,
        )
        decision = entry(1, "alice", "bob", message_id=message_id, at_ms=NOW - 1)
        await ledger.write([attempt, decision])
        await ledger.write([replace(attempt, detail="later"), decision, entry(2, "carol")])
        await ledger.write([])
        assert await ledger.find("", message_id, 10) == [attempt, decision]
        assert await ledger.find("bob", message_id, 10) == [attempt, replace(decision, user_ids=("bob",))]
        assert [each.detail for each in await ledger.find("carol", "", 10)] == ["reason 2"]
        assert await ledger.find("nobody", "", 10) == []


async def test_the_ledger_is_paged_the_newest_first_even_within_a_millisecond(mongo_url: str) -> None:
    async with store_at(mongo_url) as (_, mongo):
        ledger = MongoLedger(mongo)
        entries = [entry(number, "bob", at_ms=NOW + number // 4) for number in range(20)]
        await ledger.write(entries)
        pages: list[LedgerEntry] = []
        while page := await ledger.find("bob", "", 3, pages[-1].id if pages else ""):
            pages += page
        assert [each.at_ms for each in pages] == sorted((each.at_ms for each in entries), reverse=True)
        assert {each.id for each in pages} == {each.id for each in entries}
        assert await ledger.find("bob", "", 3, new_object_id()) == []
        assert await ledger.find("bob", "", 3, "nonsense") == []
