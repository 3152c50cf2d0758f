"""What a send left in the outbox is handed over by the sweeper; an event of any kind may be left there."""

import pytest

from chat_service.domain.events import member_removed
from chat_service.domain.model import Role
from chat_service.ports.log import LogEntry
from chat_service.use_cases.append_event import AppendEvent
from chat_service.use_cases.sweep_outbox import SweepOutbox
from mesh.errors import Unavailable
from mesh.ids import new_object_id
from tests.unit.chat_service.fakes import FakeBroker, FakeLog, FakeOutbox, FakeStore

CHAT = new_object_id()


async def test_what_waits_is_handed_over_in_order_and_then_cleared() -> None:
    outbox, broker = FakeOutbox(), FakeBroker()
    left = tuple(LogEntry(CHAT, seq, b"entry") for seq in (3, 4))
    outbox.left = {CHAT: left, new_object_id(): ()}
    sweeper = SweepOutbox(outbox, broker, interval_seconds=1, age_ms=0)
    broker.confirms = False
    with pytest.raises(Unavailable):
        await sweeper.sweep()
    assert outbox.cleared == []
    broker.confirms = True
    assert await sweeper.sweep() == 2
    assert (broker.persisted, outbox.cleared) == (list(left), list(left))


async def test_an_event_stays_in_the_outbox_while_the_broker_is_down() -> None:
    log, outbox, broker, store = FakeLog(), FakeOutbox(), FakeBroker(confirms=False), FakeStore()
    log.chat(CHAT, "ada")
    await AppendEvent(log, outbox, broker, store)(member_removed(CHAT, "ada", "bob", 1))
    (event,) = log.appended
    assert event.occurred_at_ms > 1  # of what was begun long ago it is now that it is logged
    assert (outbox.marked, outbox.cleared) == ([CHAT], [])


async def test_an_event_of_a_lost_log_begins_the_next_epoch_and_of_a_lost_chat_nothing() -> None:
    log, outbox, broker, store = FakeLog(), FakeOutbox(), FakeBroker(), FakeStore()
    append = AppendEvent(log, outbox, broker, store)
    await append(member_removed(CHAT, "ada", "bob", 1))
    assert (log.appended, broker.persisted) == ([], [])
    store.roles[CHAT, "ada"] = Role.ADMIN
    await append(member_removed(CHAT, "ada", "bob", 1))
    assert [entry.seq for entry in broker.persisted] == [1_001]
