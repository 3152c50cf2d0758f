"""Each row of "When a part is down" in docs/architecture.md: the effect, the error, and the way back."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from chaos.mesh import SERVICE_SECRET, Mesh
from devstack.process import ManagedProcess
from devstack.servers import BackingServer
from mesh.rpc.channel import open_channel
from parley.notify.v1.notify_service_pb2 import OUTCOME_SENT, ListLedgerRequest
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub
from tests.e2e.mesh import Client
from tests.support.polling import eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with ExitStack() as stack:
        mesh = Mesh.start(tmp_path_factory.mktemp("degraded"), stack)
        asyncio.run(mesh.ready())
        yield mesh


@dataclass(slots=True)
class Talk:
    """Two users on two edges in a direct chat, with one message said and stored."""

    mesh: Mesh
    alice: Client
    bob: Client
    chat_id: str
    connect: Callable[[str, int], Awaitable[Client]]

    async def refused(self, event: str = "send-message", **data: Any) -> dict[str, Any]:
        """What is asked is refused as retryable; waits until the refusal is no deadline that ran out."""
        async with asyncio.timeout(30):
            while True:
                message = {"content": "lost?", "type": "text", "clientMsgId": uuid.uuid4().hex}
                body = {**(message if event == "send-message" else {}), "chatId": self.chat_id, **data}
                reply = await self.alice.ask(event, body)
                assert reply["event"] == "error", reply
                assert reply["data"]["retryable"], reply
                if reply["data"]["code"] == "UNAVAILABLE":
                    error: dict[str, Any] = reply["data"]
                    return error
                assert reply["data"]["code"] == "DEADLINE_EXCEEDED", reply

    async def works_again(self) -> None:
        """A message goes from one to the other on the same connections."""
        text = f"again {uuid.uuid4().hex}"
        data = {"chatId": self.chat_id, "content": text, "type": "text", "clientMsgId": uuid.uuid4().hex}
        async with asyncio.timeout(30):
            while (await self.alice.ask("send-message", data))["event"] != "ack":
                await asyncio.sleep(0.05)
        await self.bob.wait_for("new-message", content=text)


@pytest.fixture
async def talk(running: Mesh) -> AsyncIterator[Talk]:
    await running.ready()
    async with AsyncExitStack() as stack:

        async def connect(user_id: str, edge: int) -> Client:
            return await Client.open(running.edges[edge], user_id, stack)

        tail = uuid.uuid4().hex[:8]
        alice, bob = await connect(f"alice-{tail}", 0), await connect(f"bob-{tail}", 1)
        chat = (await alice.rest.post("/chats", {"userId": bob.user_id}))["chat"]
        await bob.wait_for("chat-created")
        await alice.say(chat["id"], "before")
        await bob.wait_for("new-message")
        stored = running.database().messages
        await eventually(
            lambda: stored.count_documents({"senderId": alice.user_id}) == 1, "the first is stored"
        )
        yield Talk(running, alice, bob, chat["id"], connect)


@contextmanager
def down(part: BackingServer | ManagedProcess) -> Iterator[None]:
    """The part is stopped in order inside the block, and runs again behind it."""
    part.stop()
    try:
        yield
    finally:
        part.start()


def written(mesh: Mesh) -> dict[str, int]:
    """How much each process has logged so far, in bytes."""
    return {service.process.name: service.process.log_path.stat().st_size for service in mesh.services}


def warnings(mesh: Mesh, since: dict[str, int]) -> Counter[tuple[str, str]]:
    """How often each process told each warning or error since then; a traceback counts as a thousand."""
    told: Counter[tuple[str, str]] = Counter()
    for service in mesh.services:
        name = service.process.name
        for line in service.process.log_path.read_bytes()[since[name] :].splitlines():
            log = json.loads(line)
            if log["level"] in {"warning", "error"}:
                told[name, log["event"]] += 1000 if "exception" in log else 1
    return told


async def test_redis_down_refuses_at_once_keeps_connections_and_ends_in_a_resync(talk: Talk) -> None:
    since = written(talk.mesh)
    with down(talk.mesh.redis):
        assert "redis" in (await talk.refused())["message"]
        await talk.refused("typing", isTyping=True)
        noticed = ("chat", "dependency.down")
        await eventually(lambda: warnings(talk.mesh, since)[noticed] == 1, "it is told once")
    await talk.bob.wait_for("resync", chatId=talk.chat_id)
    await talk.mesh.ready()
    await talk.works_again()
    assert talk.bob.of("new-message", content="lost?") == []
    told = warnings(talk.mesh, since)
    # A background task is told of by its name: there are a few.
    assert {each: times for each, times in told.items() if times > 4} == {}


async def test_rabbitmq_down_refuses_sends_before_anybody_sees_them_and_typing_goes_on(talk: Talk) -> None:
    with down(talk.mesh.rabbitmq):
        assert "rabbitmq" in (await talk.refused())["message"]
        seen = talk.bob.of("new-message")
        assert (await talk.alice.ask("typing", {"chatId": talk.chat_id, "isTyping": True}))["event"] == "ack"
        await talk.bob.wait_for("user-typing", chatId=talk.chat_id, isTyping=True)
        await talk.bob.ask("mark-chat-read", {"chatId": talk.chat_id})
        await talk.alice.wait_for("chat-read", chatId=talk.chat_id)
        assert talk.bob.of("new-message") == seen
    await talk.works_again()


async def test_mongodb_down_stores_later_and_history_reaches_back_as_far_as_the_recent_log(
    talk: Talk,
) -> None:
    with down(talk.mesh.mongo):
        sent = [await talk.alice.say(talk.chat_id, f"without mongo {number}") for number in range(5)]
        await talk.bob.wait_for("new-message", 6)
        page = await talk.bob.rest.get(f"/chats/{talk.chat_id}/messages")
        assert [item["seq"] for item in page["messages"]] == [1, *(item["seq"] for item in sent)]
        await refused_over_rest(talk.bob, "POST", "/chats", {"userId": f"new-{uuid.uuid4().hex}"})
    stored = talk.mesh.database().messages
    mine = {"senderId": talk.alice.user_id}
    await eventually(lambda: stored.count_documents(mine) == 6, "all stored", seconds=30)


async def test_persist_service_down_is_the_same(talk: Talk) -> None:
    with down(talk.mesh.persist.process):
        await talk.alice.say(talk.chat_id, "without persist_service")
        await talk.bob.wait_for("new-message", 2)
        page = await talk.bob.rest.get(f"/chats/{talk.chat_id}/messages")
        assert len(page["messages"]) == 2
        await refused_over_rest(talk.bob, "GET", "/chats", None)
    await talk.mesh.ready()
    stored = talk.mesh.database().messages
    mine = {"senderId": talk.alice.user_id}
    await eventually(lambda: stored.count_documents(mine) == 2, "all stored", seconds=30)


async def test_chat_service_down_refuses_and_live_delivery_from_elsewhere_goes_on(talk: Talk) -> None:
    with down(talk.mesh.chat.process):
        assert "chat" in (await talk.refused())["message"]
    await talk.mesh.chat.ready()
    await talk.works_again()


async def test_notify_service_down_notifies_later(talk: Talk) -> None:
    absent = f"absent-{uuid.uuid4().hex[:8]}"
    chat = (await talk.alice.rest.post("/chats", {"userId": absent}))["chat"]
    with down(talk.mesh.notify.process):
        sent = await talk.alice.say(chat["id"], "are you there?")
        await refused_over_rest(talk.alice, "GET", "/devices", None)
        assert (await talk.alice.rest.get("/chats"))["chats"]
        await talk.mesh.edges[0].ready()
    await talk.mesh.notify.ready()
    target = f"127.0.0.1:{talk.mesh.notify.port}"
    async with (
        open_channel(target, caller="test", callee="notify", secret=SecretStr(SERVICE_SECRET)) as channel,
        asyncio.timeout(30),
    ):
        notify = NotifyServiceStub(channel)
        query = ListLedgerRequest(message_id=sent["messageId"])
        while not (entries := (await notify.ListLedger(query)).entries):
            await asyncio.sleep(0.05)
    assert {user_id for entry in entries for user_id in entry.user_ids} == {absent}
    assert {entry.outcome for entry in entries} == {OUTCOME_SENT}


async def test_an_edge_that_dies_loses_nothing_for_clients_that_go_to_another(talk: Talk) -> None:
    with down(talk.mesh.edges[1].process):
        sent = await talk.alice.say(talk.chat_id, "bob is between edges")
        bob = await talk.connect(talk.bob.user_id, 0)
        (welcome,) = bob.of("welcome")
        (head,) = (item for item in welcome["chats"] if item["chatId"] == talk.chat_id)
        assert (head["seq"], head["unread"]) == (sent["seq"], 2)
        page = await bob.rest.get(f"/chats/{talk.chat_id}/messages")
        assert [item["content"] for item in page["messages"]] == ["before", "bob is between edges"]
    await talk.mesh.edges[1].ready()


async def refused_over_rest(client: Client, method: str, path: str, body: dict[str, Any] | None) -> None:
    """503 or 504, with the retryable error of the frames."""
    response = await client.rest.call(method, path, body)
    assert response.status_code in {503, 504}, response.text
    assert response.json()["error"]["retryable"]
