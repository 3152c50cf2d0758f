"""An edge goes away: everyone is told, each leaves at its time, and nothing in flight is lost."""

import asyncio

from tests.integration.edge.conftest import Client, Edge, StartEdge
from tests.integration.edge.scaffold import ScaffoldChat

BOTH_FORMS = True  # of the protocol

CHAT = "c" * 24


async def test_clients_are_told_and_leave_spread_over_the_window(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_drain_spread_seconds=1.0)
    clients = [await edge.client(f"user{number}") for number in range(10)]
    loop = asyncio.get_running_loop()
    started = loop.time()
    closing = asyncio.create_task(edge.life.close(120))
    told = [(await client.next("drain"))["data"]["reconnectAfterMs"] for client in clients]
    assert told == list(range(100, 1001, 100))

    async def ended(number: int) -> float:
        assert await clients[number].close_code() == 1001
        return loop.time() - started

    ends = await asyncio.gather(*map(ended, range(10)))
    assert ends == sorted(ends)
    assert all(end >= ms / 1000 - 0.05 for end, ms in zip(ends, told, strict=True))
    await asyncio.wait_for(closing, 30)  # long before the 120 s that it may take
    assert chat.sessions == {}


async def _refused(client: Client, message: dict[str, str]) -> None:
    """Sends until that is refused because the edge goes away; what was taken waits at the gate."""
    number = 100
    while not client.all("error"):
        number += 1
        await client.send("send-message", number, **message, clientMsgId=str(number))
        await asyncio.sleep(0.02)
    (error, *_) = client.all("error")
    assert (error["code"], error["retryable"]) == ("DRAINING", True)


async def test_until_its_time_a_client_sends_and_then_it_is_told_to_send_elsewhere(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_drain_spread_seconds=1.0)
    chat.members[CHAT] = {"alice", "bob"}
    alice = await edge.client("alice")
    closing = asyncio.create_task(edge.life.close(20))
    await alice.next("drain")
    message = {"chatId": CHAT, "content": "x", "type": "text"}
    assert (await alice.ask("send-message", 1, **message, clientMsgId="a"))["event"] == "ack"
    gate = chat.gates["SendMessages"] = asyncio.Event()
    chat.entered["SendMessages"].clear()
    await alice.send("send-message", 2, **message, clientMsgId="b")
    await asyncio.wait_for(chat.entered["SendMessages"].wait(), 30)
    await asyncio.wait_for(_refused(alice, message), 30)  # its time comes while the message is on its way
    gate.set()
    assert (await alice.next(lambda frame: frame.get("id") == 2))["event"] == "ack"
    assert await alice.close_code() == 1001
    await closing


async def test_an_unanswered_send_does_not_hold_up_the_end_for_long(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge()
    chat.members[CHAT] = {"alice"}
    alice = await edge.client("alice")
    chat.gates["SendMessages"] = asyncio.Event()  # never set: chat_service hangs
    await alice.send("send-message", 1, chatId=CHAT, content="x", clientMsgId="a")
    await asyncio.wait_for(chat.entered["SendMessages"].wait(), 30)
    await asyncio.wait_for(edge.life.close(120), 30)
    chat.gates["SendMessages"].set()


async def test_an_edge_without_clients_goes_at_once(start_edge: StartEdge) -> None:
    edge: Edge = await start_edge(edge_drain_spread_seconds=120.0, drain_seconds=600.0)
    alice = await edge.client("alice")
    await alice.close()
    await asyncio.wait_for(edge.life.close(600), 30)
