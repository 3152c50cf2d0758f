"""Chats that cannot be asked about for a while: named, joined as soon as they can be, and told of."""

from edge.pubsub.channels import chat_channel
from mesh.errors import unavailable
from tests.integration.edge.conftest import Edge
from tests.integration.edge.scaffold import ScaffoldChat
from tests.support.polling import eventually

GOOD, LOST = "a" * 24, "b" * 24


async def test_who_connects_while_a_log_is_rebuilt_gets_the_chat_later(
    edge: Edge, chat: ScaffoldChat
) -> None:
    chat.members[GOOD].add("alice")
    chat.members[LOST].add("alice")
    chat.rebuilding.add(LOST)
    alice = await edge.dial("alice")
    welcome = (await alice.next("welcome"))["data"]
    assert [head["chatId"] for head in welcome["chats"]] == [GOOD]
    assert welcome["pending"] == [LOST]
    chat.store(LOST, "bob", "said meanwhile")
    chat.rebuilding.clear()
    assert (await alice.next("resync"))["data"] == {"chatId": LOST}
    await chat.say(LOST, "bob", "live again")
    assert (await alice.next("new-message"))["data"]["content"] == "live again"
    assert len(alice.all("resync")) == 1


async def test_who_is_added_while_a_log_is_rebuilt_knows_the_chat_at_once(
    edge: Edge, chat: ScaffoldChat
) -> None:
    alice = await edge.client("alice")
    chat.rebuilding.add(LOST)
    await chat.add(LOST, "alice", "bob")
    created = (await alice.next("chat-created"))["data"]
    assert (created["chat"]["id"], created["actorId"]) == (LOST, "bob")
    chat.rebuilding.clear()
    assert (await alice.next("resync"))["data"] == {"chatId": LOST}
    await chat.say(LOST, "bob", "hello")
    await alice.next("new-message")
    assert len(alice.all("chat-created")) == 1


async def test_who_is_added_while_chat_service_is_away_stays_connected(
    edge: Edge, chat: ScaffoldChat
) -> None:
    alice = await edge.client("alice")
    chat.failures["JoinChats"] = unavailable("redis")
    await chat.add(LOST, "alice", "bob")
    await alice.next("chat-created")
    del chat.failures["JoinChats"]
    assert (await alice.next("resync"))["data"] == {"chatId": LOST}


async def test_a_pending_chat_that_is_lost_is_told_and_not_asked_about_again(
    edge: Edge, chat: ScaffoldChat
) -> None:
    chat.members[LOST].add("alice")
    chat.rebuilding.add(LOST)
    alice = await edge.client("alice")
    await chat.remove(LOST, "alice", "bob")
    removed = (await alice.next("member-removed"))["data"]
    assert (removed["chatId"], removed["userId"], removed["actorId"]) == (LOST, "alice", "bob")
    chat.rebuilding.clear()
    await chat.say(GOOD, "alice", "nobody is here")
    await alice.ask("join-chats", "j", chatIds=[LOST])
    assert alice.all("resync") == []


async def test_a_pending_chat_may_be_left(edge: Edge, chat: ScaffoldChat) -> None:
    chat.members[LOST].add("alice")
    chat.rebuilding.add(LOST)
    alice = await edge.client("alice")
    assert (await alice.ask("leave-chats", "l", chatIds=[LOST]))["event"] == "ack"
    chat.rebuilding.clear()
    chat.entered["JoinChats"].clear()
    chat.members[GOOD].add("alice")
    await chat.add(GOOD, "alice", "bob")
    await alice.next("chat-created")
    await chat.say(LOST, "bob", "unheard")
    await chat.say(GOOD, "bob", "heard")
    assert (await alice.next("new-message"))["data"]["chatId"] == GOOD


async def test_a_lost_pending_join_ends_with_its_connection(edge: Edge, chat: ScaffoldChat) -> None:
    chat.members[LOST].add("alice")
    chat.rebuilding.add(LOST)
    alice = await edge.client("alice")
    await alice.close()
    chat.rebuilding.clear()
    bob = await edge.client("bob")
    chat.members[LOST].add("bob")
    await chat.add(LOST, "bob", "carol")
    await bob.next("chat-created")

    async def heard() -> int:
        return int((await chat.redis.pubsub_numsub(chat_channel(LOST)))[0][1])

    assert await heard() == 1


async def test_a_new_look_after_a_gap_that_finds_a_lost_log_keeps_the_chat(
    edge: Edge, chat: ScaffoldChat
) -> None:
    chat.members[LOST].add("alice")
    alice = await edge.client("alice")
    chat.rebuilding.add(LOST)
    chat.entered["JoinChats"].clear()
    killed = await chat.redis.client_kill_filter(_type="pubsub")
    assert killed
    await alice.next("resync")  # the gap itself
    await eventually(chat.entered["JoinChats"].is_set)
    chat.rebuilding.clear()
    await alice.next("resync")
    await chat.say(LOST, "bob", "still here")
    assert (await alice.next("new-message"))["data"]["content"] == "still here"


async def test_a_welcome_says_where_the_list_goes_on(edge: Edge, chat: ScaffoldChat) -> None:
    chat.next_cursor = "o-1-x"
    alice = await edge.dial("alice")
    assert (await alice.next("welcome"))["data"]["nextCursor"] == "o-1-x"


async def test_chat_service_is_told_of_a_connection_that_lacks_chats(edge: Edge, chat: ScaffoldChat) -> None:
    """For who is busy there may still have to be notified of what comes in the others."""
    chat.members[GOOD].add("alice")
    chat.members[LOST].add("alice")
    alice = await edge.dial("alice")
    connection = (await alice.next("welcome"))["data"]["connectionId"]
    await alice.ask("leave-chats", chatIds=[GOOD])
    await eventually(lambda: chat.partial.get(connection) is True)
    await alice.ask("join-chats", chatIds=[GOOD])
    await eventually(lambda: chat.partial[connection] is False)

    chat.rebuilding.add(LOST)
    waiting = (await (await edge.dial("alice")).next("welcome"))["data"]["connectionId"]
    await eventually(lambda: chat.partial.get(waiting) is True)
    chat.rebuilding.clear()
    await eventually(lambda: chat.partial[waiting] is False)

    chat.next_cursor = "o-1-x"
    more = (await (await edge.dial("alice")).next("welcome"))["data"]["connectionId"]
    await eventually(lambda: chat.partial.get(more) is True)
