"""Two clients on two edges talk: order, dedupe, history, typing, reads, presence."""

import asyncio
import time
import uuid

import pytest

from edge.protocol.codec import BINARY
from tests.e2e.conftest import Connect
from tests.e2e.mesh import Client, Mesh
from tests.support.polling import eventually


@pytest.fixture
def names() -> tuple[str, str]:
    tail = uuid.uuid4().hex[:8]
    return f"alice-{tail}", f"bob-{tail}"


async def talk(mesh: Mesh, connect: Connect, names: tuple[str, str]) -> tuple[Client, Client, str]:
    """Both online on different edges, in a direct chat that was made while they were."""
    alice = await connect(names[0], mesh.edges[0])
    bob = await connect(names[1], mesh.edges[1])
    chat = (await alice.rest.post("/chats", {"userId": bob.user_id}))["chat"]
    for client in (alice, bob):
        (created,) = await client.wait_for("chat-created")
        assert created["chat"]["id"] == chat["id"]
    return alice, bob, chat["id"]


async def test_what_was_acked_is_delivered_in_order_on_both_edges_and_is_the_history(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice, bob, chat_id = await talk(mesh, connect, names)
    acks = await asyncio.gather(
        *(
            sender.say(chat_id, f"{sender.user_id} {number}")
            for number in range(25)
            for sender in (alice, bob)
        )
    )
    delivered = [await client.wait_for("new-message", 50, chatId=chat_id) for client in (alice, bob)]
    assert [item["seq"] for item in delivered[0]] == list(range(1, 51))
    assert delivered[0] == delivered[1]
    assert {item["messageId"] for item in acks} == {item["id"] for item in delivered[0]}
    assert sorted(item["number"] for item in acks) == list(range(1, 51))
    for sender in (alice, bob):
        own = [item["content"] for item in delivered[0] if item["senderId"] == sender.user_id]
        assert own == [f"{sender.user_id} {number}" for number in range(25)]

    page = await bob.rest.get(f"/chats/{chat_id}/messages?limit=50")
    assert [item["id"] for item in page["messages"]] == [item["id"] for item in delivered[0]]
    assert not page["hasMore"]
    stored = mesh.database().messages
    await eventually(lambda: stored.count_documents({"content": {"$regex": f"^{names[0]} "}}) == 25, "stored")


async def test_a_binary_client_says_and_sees_the_same(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice = await connect(names[0], mesh.edges[0], BINARY.subprotocol)
    bob = await connect(names[1], mesh.edges[1])
    chat_id = (await alice.rest.post("/chats", {"userId": bob.user_id}))["chat"]["id"]
    created = [(await client.wait_for("chat-created"))[0]["chat"] for client in (alice, bob)]
    assert created[0] == created[1]
    for number in range(5):
        await alice.say(chat_id, f"in bytes {number}")
        await bob.say(chat_id, f"in text {number}")
    told = [await client.wait_for("new-message", 10, chatId=chat_id) for client in (alice, bob)]
    assert told[0] == told[1]
    assert (await alice.ask("mark-chat-read", {"chatId": chat_id}))["data"]["unread"] == 0
    await bob.wait_for("chat-read", readBy=alice.user_id)
    again = await connect(names[0], mesh.edges[1], BINARY.subprotocol)
    resumed = await again.ask(
        "resume", {"chats": [{"chatId": chat_id, "seq": 4, "epoch": told[0][0]["epoch"]}]}
    )
    assert [chat["complete"] for chat in resumed["data"]["chats"]] == [True]
    assert again.of("new-message", chatId=chat_id) == told[0][4:]


async def test_mentions_are_seen_live_and_in_the_history(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice, bob, chat_id = await talk(mesh, connect, names)
    data = {"chatId": chat_id, "content": "you!", "clientMsgId": "m-1", "mentions": [bob.user_id]}
    assert (await alice.ask("send-message", data))["event"] == "ack"
    await alice.say(chat_id, "and you")
    live = await bob.wait_for("new-message", 2, chatId=chat_id)
    page = await bob.rest.get(f"/chats/{chat_id}/messages")
    for messages in (live, page["messages"]):
        assert [message["mentions"] for message in messages] == [[bob.user_id], []]


async def test_who_answers_has_read_unless_the_send_says_otherwise(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice, bob, chat_id = await talk(mesh, connect, names)
    await alice.say(chat_id, "are you there?")
    await bob.wait_for("new-message", 1, chatId=chat_id)
    data = {"chatId": chat_id, "content": "he is away", "clientMsgId": "m-1", "readSeq": 0}
    assert (await bob.ask("send-message", data))["event"] == "ack"
    answer = await bob.say(chat_id, "I am back")
    (told,) = await alice.wait_for("message-read", 1, chatId=chat_id)
    assert (told["readBy"], told["seq"]) == (bob.user_id, answer["seq"])
    page = await alice.rest.get(f"/chats/{chat_id}/messages")
    assert page["messages"][0]["status"] == "read"


async def test_history_pages_backwards_by_seq_and_by_page(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice, bob, chat_id = await talk(mesh, connect, names)
    for number in range(7):
        await alice.say(chat_id, str(number))
    newest = await bob.rest.get(f"/chats/{chat_id}/messages?limit=3")
    assert [item["content"] for item in newest["messages"]] == ["4", "5", "6"]
    assert newest["hasMore"]
    before = newest["messages"][0]["seq"]
    older = await bob.rest.get(f"/chats/{chat_id}/messages?limit=3&before={before}")
    assert [item["content"] for item in older["messages"]] == ["1", "2", "3"]
    page = await bob.rest.get(f"/chats/{chat_id}/messages?limit=3&page=2")
    # Not all of it: bob's edge may have told meanwhile that they were delivered.
    assert [item["id"] for item in page["messages"]] == [item["id"] for item in older["messages"]]
    assert page["hasMore"]
    last = await bob.rest.get(f"/chats/{chat_id}/messages?limit=3&page=3")
    assert ([item["content"] for item in last["messages"]], last["hasMore"]) == (["0"], False)


async def test_the_same_client_msg_id_gives_one_message_and_the_same_ack(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice, bob, chat_id = await talk(mesh, connect, names)
    first = await alice.say(chat_id, "once", key="k-1")
    again = await alice.say(chat_id, "once", key="k-1")
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert {**again, "duplicate": False} == first
    other = await alice.ask(
        "send-message", {"chatId": chat_id, "content": "other", "type": "text", "clientMsgId": "k-1"}
    )
    assert (other["event"], other["data"]["code"]) == ("error", "DUPLICATE_CONFLICT")
    await alice.say(chat_id, "after")
    delivered = await bob.wait_for("new-message", 2, chatId=chat_id)
    assert [item["content"] for item in delivered] == ["once", "after"]


async def test_typing_is_told_and_expires_by_itself(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice, bob, chat_id = await talk(mesh, connect, names)
    assert (await alice.ask("typing", {"chatId": chat_id, "isTyping": True}))["event"] == "ack"
    await bob.wait_for("user-typing", chatId=chat_id, userId=alice.user_id, isTyping=True)
    started = time.monotonic()
    await bob.wait_for("user-typing", chatId=chat_id, userId=alice.user_id, isTyping=False)
    assert time.monotonic() - started > 2.5  # of the 3 s that it holds


async def test_reads_move_pointers_and_derive_status_and_readers(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice, bob, chat_id = await talk(mesh, connect, names)
    sent = [await alice.say(chat_id, f"m{number}") for number in range(3)]
    await bob.wait_for("new-message", 3, chatId=chat_id)
    await alice.wait_for("message-delivered", chatId=chat_id, userId=bob.user_id, seq=sent[2]["seq"])

    chats = (await bob.rest.get("/chats"))["chats"]
    assert next(chat for chat in chats if chat["id"] == chat_id)["unread"] == 3
    reply = await bob.ask("mark-read", {"chatId": chat_id, "messageId": sent[1]["messageId"]})
    assert reply["event"] == "ack", reply
    await alice.wait_for("message-read", chatId=chat_id, readBy=bob.user_id, messageId=sent[1]["messageId"])
    page = await alice.rest.get(f"/chats/{chat_id}/messages")
    assert [item["status"] for item in page["messages"]] == ["read", "read", "delivered"]
    assert [[reader["userId"] for reader in item["readBy"]] for item in page["messages"]] == [
        [bob.user_id],
        [bob.user_id],
        [],
    ]
    # Back is no way for a pointer.
    await bob.ask("mark-read", {"chatId": chat_id, "messageId": sent[0]["messageId"]})
    chats = (await bob.rest.get("/chats"))["chats"]
    assert next(chat for chat in chats if chat["id"] == chat_id)["unread"] == 1

    await bob.ask("mark-chat-read", {"chatId": chat_id})
    await alice.wait_for("chat-read", chatId=chat_id, readBy=bob.user_id)
    chats = (await bob.rest.get("/chats"))["chats"]
    assert next(chat for chat in chats if chat["id"] == chat_id)["unread"] == 0
    memberships = mesh.database().memberships
    await eventually(
        lambda: memberships.count_documents({"userId": bob.user_id, "readNumber": 3}) == 1, "pointer stored"
    )


async def test_a_user_is_online_until_the_last_of_two_devices_is_gone(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice, bob, chat_id = await talk(mesh, connect, names)
    tablet = await connect(names[1], mesh.edges[0])
    await tablet.close()
    await bob.say(chat_id, "still here")
    await alice.wait_for("new-message", chatId=chat_id)
    assert alice.of("user-offline", userId=bob.user_id) == []
    chats = (await alice.rest.get("/chats"))["chats"]
    assert bob.user_id in chats[0]["onlineUserIds"]

    await bob.close()
    (gone,) = await alice.wait_for("user-offline", userId=bob.user_id)
    assert gone["lastSeen"]
    await connect(names[1], mesh.edges[0])
    # Once more than after the first connection, which may have come before alice shared a chat with bob.
    came = len(alice.of("user-online", userId=bob.user_id))
    await alice.wait_for("user-online", max(1, came), userId=bob.user_id)


async def test_both_devices_of_a_user_get_every_message_once(
    mesh: Mesh, connect: Connect, names: tuple[str, str]
) -> None:
    alice, bob, chat_id = await talk(mesh, connect, names)
    tablet = await connect(names[1], mesh.edges[0])
    (welcome,) = tablet.of("welcome")
    assert [item["chatId"] for item in welcome["chats"]] == [chat_id]
    for number in range(5):
        await alice.say(chat_id, str(number))
    for device in (bob, tablet):
        items = await device.wait_for("new-message", 5, chatId=chat_id)
        assert [item["content"] for item in items] == list("01234")
