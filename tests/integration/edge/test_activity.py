"""chat_service learns when a client last did something: with each renewal, and at once after a pause."""

import pytest

from edge.sessions import presence_keeper
from mesh.clock import now_ms
from tests.integration.edge.conftest import Client, StartEdge
from tests.integration.edge.scaffold import ScaffoldChat
from tests.support.polling import eventually

CHAT = "c" * 24
PAUSE_MS = 121_000


async def act(client: Client, number: int) -> None:
    assert (await client.ask("leave-chats", number, chatIds=[CHAT]))["event"] == "ack"


async def test_opening_is_activity_and_renewals_tell_the_last_of_it(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_renew_seconds=0.05)
    started = now_ms()
    alice = await edge.client("alice")
    await eventually(lambda: len(chat.renewed_active_ms) >= 3)
    [opened] = chat.opened_active_ms
    assert started <= opened <= now_ms()
    assert set(chat.renewed_active_ms) == {opened}

    acted = now_ms()
    await act(alice, 1)
    await eventually(lambda: chat.renewed_active_ms[-1] >= acted)
    last = chat.renewed_active_ms[-1]
    count = len(chat.renewed_active_ms)
    await eventually(lambda: len(chat.renewed_active_ms) >= count + 2)
    assert chat.renewed_active_ms[-1] == last


async def test_who_returns_after_a_pause_is_renewed_at_once_and_once(
    start_edge: StartEdge, chat: ScaffoldChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = await start_edge(edge_renew_seconds=120)  # not within this test
    alice, bob = await edge.client("alice"), await edge.client("bob")
    await act(alice, 1)
    assert chat.renewed_active_ms == []

    monkeypatch.setattr(presence_keeper, "now_ms", lambda: now_ms() + PAUSE_MS)
    returned = now_ms() + PAUSE_MS
    for number in (2, 3):
        await act(alice, number)
    await eventually(lambda: bool(chat.renewed_active_ms))
    await bob.connection.send("not even a frame")
    await eventually(lambda: len(chat.renewed_active_ms) >= 2)
    for number in (4, 5):
        await act(alice, number)
    assert len(chat.renewed_active_ms) == 2
    assert min(chat.renewed_active_ms) >= returned


async def test_a_session_that_is_opened_again_by_the_edge_did_nothing_by_that(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge()
    await edge.client("alice")
    [opened] = chat.opened_active_ms
    await chat.redis.client_kill_filter(_type="pubsub")
    await eventually(lambda: len(chat.opened_active_ms) == 2)
    assert chat.opened_active_ms[1] == opened
