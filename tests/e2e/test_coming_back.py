"""Coming back after an absence, on another edge; and not coming back when the session was revoked."""

import asyncio
import uuid

import pytest

from tests.e2e.conftest import Connect
from tests.e2e.mesh import Client, Frame, Mesh
from tests.support.polling import eventually

MORE_THAN_THE_RECENT_LOG = 260


@pytest.fixture
def names() -> tuple[str, str]:
    tail = uuid.uuid4().hex[:8]
    return f"alice-{tail}", f"bob-{tail}"


async def resume(client: Client, chat_id: str, seq: int, epoch: int = 0) -> tuple[list[Frame], Frame]:
    """What a resume sends before its ack, and what the ack tells of the chat."""
    at = len(client.frames)
    reply = await client.ask("resume", {"chats": [{"chatId": chat_id, "seq": seq, "epoch": epoch}]})
    assert reply["event"] == "ack", reply
    assert reply["data"]["errors"] == []
    (told,) = reply["data"]["chats"]
    before = client.frames[at : client.frames.index(reply)]
    return [frame for frame in before if frame["data"].get("chatId") == chat_id], told


async def insist(client: Client, chat_id: str, content: str) -> None:
    """Sends faster than the limit of one connection allows, so that it has to wait now and then."""
    message = {"chatId": chat_id, "content": content, "type": "text", "clientMsgId": uuid.uuid4().hex}
    while (reply := await client.ask("send-message", message))["event"] == "error":
        assert reply["data"]["code"] == "RATE_LIMITED", reply
        await asyncio.sleep(reply["data"]["retryAfterMs"] / 1000)


async def test_what_was_missed_comes_from_the_log_and_then_from_the_store(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice = await connect(names[0], mesh.edges[0])
    bob = await connect(names[1], mesh.edges[1])
    chat_id = (await alice.rest.post("/chats", {"userId": bob.user_id}))["chat"]["id"]
    await bob.wait_for("chat-created")
    first = await alice.say(chat_id, "first")
    await bob.wait_for("new-message")
    await bob.close()

    for number in range(10):
        await alice.say(chat_id, f"missed {number}")
    bob = await connect(names[1], mesh.edges[0])
    frames, told = await resume(bob, chat_id, first["seq"], first["epoch"])
    assert [frame["data"]["content"] for frame in frames] == [f"missed {number}" for number in range(10)]
    assert (told["complete"], told["reset"], told["unread"]) == (True, False, 11)
    await alice.say(chat_id, "live")
    (live,) = await bob.wait_for("new-message", content="live")
    assert live["seq"] == told["seq"] + 1
    await bob.close()

    for number in range(MORE_THAN_THE_RECENT_LOG):
        await insist(alice, chat_id, f"long {number}")
    stored = mesh.database().messages
    await eventually(
        lambda: stored.count_documents({"content": "long 259", "senderId": alice.user_id}), "stored"
    )
    bob = await connect(names[1], mesh.edges[1])
    frames, told = await resume(bob, chat_id, 0)
    assert [frame["data"]["seq"] for frame in frames] == list(range(1, told["seq"] + 1))
    assert {frame["event"] for frame in frames} == {"new-message"}
    assert told["complete"]
    assert bob.of("resync") == []


async def test_members_who_came_and_went_are_among_what_was_missed(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice = await connect(names[0], mesh.edges[0])
    body = {"name": "team", "memberIds": [names[1]]}
    chat_id = (await alice.rest.post("/groups", body))["group"]["id"]
    seq = (await alice.say(chat_id, "hello"))["seq"]
    carol = f"carol-{names[0]}"
    await alice.rest.post(f"/chats/{chat_id}/members", {"userIds": [carol]})
    await alice.say(chat_id, "carol is here")
    assert (await alice.rest.call("DELETE", f"/chats/{chat_id}/members/{carol}")).status_code == 204

    bob = await connect(names[1], mesh.edges[1])
    frames, told = await resume(bob, chat_id, seq)
    assert [frame["event"] for frame in frames] == ["member-added", "new-message", "member-removed"]
    assert [frame["data"]["seq"] for frame in frames] == [seq + 1, seq + 2, seq + 3]
    assert told["seq"] == seq + 3


async def test_foreign_and_future_cursors(mesh: Mesh, connect: Connect, names: tuple[str, str]) -> None:
    alice = await connect(names[0], mesh.edges[0])
    mine = (await alice.rest.post("/chats", {"userId": names[1]}))["chat"]["id"]
    stranger = await connect(f"carol-{names[0]}", mesh.edges[1])
    reply = await stranger.ask("resume", {"chats": [{"chatId": mine, "seq": 0}]})
    assert reply["data"]["chats"] == []
    assert reply["data"]["errors"][0]["error"]["code"] == "NOT_A_MEMBER"
    _, told = await resume(alice, mine, 10**6)
    assert told["reset"]


async def test_a_user_ends_sessions_on_every_edge(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    phone = await connect(names[0], mesh.edges[0])
    laptop = await connect(names[0], mesh.edges[1])
    other = await connect(names[1], mesh.edges[1])
    ids = {client.of("welcome")[0]["connectionId"]: client for client in (phone, laptop)}
    listed = await other.rest.get("/sessions")
    assert len(listed["sessions"]) == 1
    sessions = (await phone.rest.get("/sessions"))["sessions"]
    assert {session["connectionId"] for session in sessions} == set(ids)

    phone_id = next(connection for connection, client in ids.items() if client is phone)
    assert await _ended(laptop, f"/sessions/{phone_id}", phone) == 4410
    assert (await laptop.ask("leave-chats", {"chatIds": ["0" * 24]}))["event"] == "ack"

    assert await _ended(phone, "/sessions", laptop) == 4410
    async with asyncio.timeout(30):
        while (answer := await phone.rest.call("GET", "/chats")).status_code == 200:
            await asyncio.sleep(0.02)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "SESSION_REVOKED")
    assert (await other.rest.call("GET", "/chats")).status_code == 200


async def _ended(asking: Client, path: str, concerned: Client) -> int | None:
    """What the connection ended with; by what edges are told, for they ask themselves once a minute."""
    assert (await asking.rest.call("DELETE", path)).status_code == 204
    async with asyncio.timeout(30):
        await concerned.socket.wait_closed()
    return concerned.socket.close_code
