"""Groups: who is told what, live, when members come and go; and outsiders see nothing."""

import uuid

import pytest

from tests.e2e.conftest import Connect
from tests.e2e.mesh import Client, Mesh


@pytest.fixture
async def people(mesh: Mesh, connect: Connect) -> dict[str, Client]:
    tail = uuid.uuid4().hex[:8]
    return {
        name: await connect(f"{name}-{tail}", mesh.edges[index % 2])
        for index, name in enumerate(("alice", "bob", "carol", "eve"))
    }


async def make_group(people: dict[str, Client]) -> str:
    alice, bob = people["alice"], people["bob"]
    group = (
        await alice.rest.post("/groups", {"name": "Team", "description": "Us", "memberIds": [bob.user_id]})
    )["group"]
    for client in (alice, bob):
        await client.wait_for("chat-created")
    group_id: str = group["id"]
    return group_id


async def test_a_group_is_made_and_shown(people: dict[str, Client]) -> None:
    alice, bob = people["alice"], people["bob"]
    group_id = await make_group(people)
    shown = (await bob.rest.get(f"/chats/{group_id}"))["chat"]
    assert (shown["type"], shown["name"], shown["description"]) == ("group", "Team", "Us")
    assert [(item["userId"], item["role"]) for item in shown["members"]] == [
        (alice.user_id, "admin"),
        (bob.user_id, "member"),
    ]
    assert (shown["admin"], shown["role"]) == (alice.user_id, "member")


async def test_members_come_and_go_live(people: dict[str, Client]) -> None:
    alice, bob, carol = people["alice"], people["bob"], people["carol"]
    group_id = await make_group(people)
    await alice.say(group_id, "before carol")
    await alice.rest.post(f"/chats/{group_id}/members", {"userIds": [carol.user_id]})
    (created,) = await carol.wait_for("chat-created")
    assert created["chat"]["id"] == group_id
    for client in (alice, bob):
        await client.wait_for("member-added", chatId=group_id)
    await carol.say(group_id, "hello from carol")
    for client in (alice, bob, carol):
        await client.wait_for("new-message", chatId=group_id, content="hello from carol")
    assert carol.of("new-message", content="before carol") == []

    response = await alice.rest.call("DELETE", f"/chats/{group_id}/members/{carol.user_id}")
    assert response.status_code == 204, response.text
    await carol.wait_for("member-removed", chatId=group_id, userId=carol.user_id)
    await bob.wait_for("member-removed", chatId=group_id, userId=carol.user_id)
    await bob.say(group_id, "without carol")
    await alice.wait_for("new-message", chatId=group_id, content="without carol")
    refused = await carol.ask(
        "send-message", {"chatId": group_id, "content": "still?", "type": "text", "clientMsgId": "x"}
    )
    assert refused["data"]["code"] == "NOT_A_MEMBER"
    assert carol.of("new-message", content="without carol") == []

    response = await bob.rest.call("DELETE", f"/chats/{group_id}/members/me")
    assert response.status_code == 204, response.text
    await alice.wait_for("member-removed", chatId=group_id, userId=bob.user_id)
    assert [chat["id"] for chat in (await bob.rest.get("/chats"))["chats"]] == []


async def test_a_last_admin_who_leaves_is_succeeded(people: dict[str, Client]) -> None:
    alice, bob = people["alice"], people["bob"]
    group_id = await make_group(people)
    refused = await bob.rest.call("DELETE", f"/chats/{group_id}/members/{alice.user_id}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "NOT_AN_ADMIN")
    response = await alice.rest.call("DELETE", f"/chats/{group_id}/members/me")
    assert response.status_code == 204
    shown = (await bob.rest.get(f"/chats/{group_id}"))["chat"]
    assert shown["admin"] == bob.user_id


async def test_an_outsider_is_refused_everywhere_and_learns_nothing(people: dict[str, Client]) -> None:
    alice, eve = people["alice"], people["eve"]
    group_id = await make_group(people)
    message_id = (await alice.say(group_id, "for us"))["messageId"]
    frames: list[tuple[str, dict[str, object]]] = [
        ("send-message", {"chatId": group_id, "content": "hi", "type": "text", "clientMsgId": "e"}),
        ("typing", {"chatId": group_id, "isTyping": True}),
        ("mark-read", {"chatId": group_id, "messageId": message_id}),
        ("mark-chat-read", {"chatId": group_id}),
    ]
    for event, data in frames:
        for chat_id in (group_id, "65a1b2c3d4e5f60718293a4b"):
            reply = await eve.ask(event, {**data, "chatId": chat_id})
            assert (reply["event"], reply["data"]["code"]) == ("error", "NOT_A_MEMBER"), reply
    joined = await eve.ask("join-chats", {"chatIds": [group_id]})
    assert "NOT_A_MEMBER" in str(joined)
    calls = [
        ("GET", f"/chats/{group_id}", None),
        ("GET", f"/chats/{group_id}/messages", None),
        ("POST", f"/chats/{group_id}/members", {"userIds": [eve.user_id]}),
        ("DELETE", f"/chats/{group_id}/members/{alice.user_id}", None),
        ("DELETE", f"/chats/{group_id}/members/me", None),
    ]
    for method, path, body in calls:
        response = await eve.rest.call(method, path, body)
        assert (response.status_code, response.json()["error"]["code"]) == (403, "NOT_A_MEMBER"), path
    await alice.say(group_id, "again")
    assert (await eve.rest.get("/chats"))["chats"] == []
    assert [frame["event"] for frame in eve.frames if "new-message" in frame["event"]] == []
