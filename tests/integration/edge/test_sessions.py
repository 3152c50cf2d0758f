"""chat_service knows which sessions live, whatever fails on the way."""

import pytest
from structlog.testing import capture_logs

from edge.sessions import presence_keeper
from mesh.errors import unavailable
from tests.integration.edge.conftest import Edge, StartEdge
from tests.integration.edge.scaffold import ScaffoldChat
from tests.support.polling import eventually


async def test_a_close_is_kept_until_it_is_told(edge: Edge, chat: ScaffoldChat) -> None:
    alice = await edge.client("alice")
    chat.failures["CloseSession"] = unavailable("redis")
    chat.calls.clear()
    await alice.close()
    await eventually(lambda: chat.calls["CloseSession"] > 4)
    assert chat.closed == []
    del chat.failures["CloseSession"]
    await eventually(lambda: len(chat.closed) == 1)
    assert chat.sessions == {}


async def test_a_close_is_given_up_when_the_session_is_over_by_itself(
    edge: Edge, chat: ScaffoldChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_keeper, "_SESSION_SECONDS", 0.5)
    alice = await edge.client("alice")
    chat.failures["CloseSession"] = unavailable("redis")
    with capture_logs() as logs:
        await alice.close()
        await eventually(lambda: any(line["event"] == "sessions.close_failed" for line in logs))
    asked = chat.calls["CloseSession"]
    del chat.failures["CloseSession"]
    bob = await edge.client("bob")
    await bob.close()
    await eventually(lambda: len(chat.closed) == 1)
    assert chat.calls["CloseSession"] == asked + 1


async def test_an_edge_whose_lease_lapsed_renews_all_of_its_sessions_at_once(
    start_edge: StartEdge, chat: ScaffoldChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_keeper, "_LEASE_SECONDS", 0.05)
    edge = await start_edge(edge_renew_seconds=120)
    for user in ("alice", "bob"):
        await edge.client(user)
    await eventually(lambda: chat.leases.total() > 3)
    assert chat.renewed_active_ms == []
    assert len(chat.leases) == 1
    chat.lapsed = True
    await eventually(lambda: len(chat.renewed_active_ms) == 2)
