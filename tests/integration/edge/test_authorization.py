"""What a token allows ends on a live connection: with its time, and when it is revoked."""

import asyncio
import time
from typing import Any

import pytest

from mesh.clock import now_ms
from tests.integration.edge.conftest import Client, Edge, StartEdge, token
from tests.integration.edge.scaffold import ScaffoldChat
from tests.support.polling import eventually

CHAT = "c" * 24


async def _with_token(edge: Edge, user_id: str, **claims: Any) -> Client:
    client = await edge.dial(
        user_id, additional_headers={"Authorization": f"Bearer {token(user_id, **claims)}"}
    )
    await client.next("welcome")
    return client


async def test_an_ending_token_is_warned_of_and_then_ends_the_connection(start_edge: StartEdge) -> None:
    edge = await start_edge(jwt_leeway_seconds=0, edge_expiry_warning_seconds=1.0)
    expires = int(time.time()) + 3
    alice = await _with_token(edge, "alice", exp=expires)
    assert alice.all("token-expiring") == []
    warning = (await alice.next("token-expiring"))["data"]["expiresInMs"]
    assert 0 < warning <= 1000
    assert time.time() > expires - 1.1, "warned too early"
    assert await alice.close_code() == 4401
    assert time.time() > expires - 0.1, "ended too early"


async def test_a_fresh_token_keeps_the_connection(start_edge: StartEdge, chat: ScaffoldChat) -> None:
    edge = await start_edge(jwt_leeway_seconds=0, edge_expiry_warning_seconds=60.0, edge_renew_seconds=0.1)
    alice = await _with_token(edge, "alice", exp=int(time.time()) + 2)
    await alice.next("token-expiring")
    issued = int(time.time()) - 5
    fresh = token("alice", iat=issued, exp=int(time.time()) + 600)
    answer = await alice.ask("refresh-token", token=fresh)
    assert answer["event"] == "ack"
    assert 500_000 < answer["data"]["expiresInMs"] <= 600_000
    lives_on = time.time() + 2.5
    while time.time() < lives_on:
        assert (await alice.ask("mark-chat-read", f"{time.time()}", chatId=CHAT))["event"] == "error"
        await asyncio.sleep(0.05)
    assert len(alice.all("token-expiring")) == 1
    await eventually(lambda: list(chat.tokens.values()) == [issued * 1000])


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (token("bob"), "PERMISSION_DENIED"),
        (token("alice", exp=int(time.time()) - 600), "TOKEN_EXPIRED"),
        ("nonsense", "INVALID_TOKEN"),
        ("", "INVALID_ARGUMENT"),
        (7, "INVALID_ARGUMENT"),
    ],
)
async def test_a_token_that_is_no_good_changes_nothing(edge: Edge, bad: Any, code: str) -> None:
    alice = await edge.client("alice")
    answer = await alice.ask("refresh-token", token=bad)
    assert (answer["event"], answer["data"]["code"]) == ("error", code)
    assert (await alice.ask("leave-chats", 2, chatIds=[CHAT]))["event"] == "ack"


async def test_a_revoked_token_does_not_refresh(edge: Edge, chat: ScaffoldChat) -> None:
    alice = await _with_token(edge, "alice", iat=int(time.time()) - 1)
    await chat.revoke("alice", silently=True)
    answer = await alice.ask("refresh-token", token=token("alice", iat=int(time.time()) - 100))
    assert answer["data"]["code"] == "SESSION_REVOKED"


async def test_revoking_all_ends_old_sessions_on_all_edges_at_once(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    # No edge asks of itself in the time of this test: what ends sessions is what it is told.
    one, two = await start_edge(edge_renew_seconds=120.0), await start_edge(edge_renew_seconds=120.0)
    old = [await _with_token(edge, "alice", iat=int(time.time()) - 10) for edge in (one, two)]
    undated = await one.client("alice")
    others = await two.client("bob")
    newer = await _with_token(one, "alice", iat=int(time.time()) + 2)
    await chat.revoke("alice")
    for client in (*old, undated):
        assert await client.close_code() == 4410
    for client in (others, newer):
        assert (await client.ask("leave-chats", chatIds=[CHAT]))["event"] == "ack"

    again = await two.dial(
        "alice", additional_headers={"Authorization": f"Bearer {token('alice', iat=int(time.time()) - 10)}"}
    )
    assert await again.close_code() == 4410
    assert again.connection.close_reason == "SESSION_REVOKED: revoked"
    assert again.frames == []


async def test_revoking_one_connection_ends_that_one(edge: Edge, chat: ScaffoldChat) -> None:
    phone, laptop = await edge.client("alice"), await edge.client("alice")
    await chat.revoke("alice", phone.all("welcome")[0]["connectionId"])
    assert await phone.close_code() == 4410
    assert (await laptop.ask("leave-chats", chatIds=[CHAT]))["event"] == "ack"


async def test_what_was_not_heard_is_found_when_sessions_are_renewed(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_renew_seconds=0.1)
    phone, laptop, bob = [await edge.client(user) for user in ("alice", "alice", "bob")]
    await chat.revoke("alice", phone.all("welcome")[0]["connectionId"], silently=True)
    assert await phone.close_code() == 4410
    assert laptop.connection.close_code is None
    await chat.revoke("bob", silently=True)
    assert await bob.close_code() == 4410


async def test_what_was_missed_in_a_gap_is_found_right_after_it(edge: Edge, chat: ScaffoldChat) -> None:
    alice = await edge.client("alice")
    chat.revoked_before_ms["alice"] = now_ms()
    await chat.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
    assert await alice.close_code() == 4410
    await eventually(lambda: chat.sessions == {})
