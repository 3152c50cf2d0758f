"""What happens after the ack: stored, indexed, counted, notified; and what survives a dead process."""

import asyncio
import uuid

import aio_pika
from pydantic import SecretStr

from mesh.ids import new_object_id
from mesh.rpc.channel import open_channel
from parley.common.v1.message_pb2 import MESSAGE_TYPE_TEXT
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import PersistBatch
from parley.notify.v1.notify_service_pb2 import OUTCOME_SENT, OUTCOME_SUPPRESSED, ListLedgerRequest
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub
from tests.e2e.conftest import Connect
from tests.e2e.mesh import SERVICE_SECRET, Mesh
from tests.support.polling import eventually


def pair() -> tuple[str, str]:
    tail = uuid.uuid4().hex[:8]
    return f"alice-{tail}", f"bob-{tail}"


async def test_an_offline_member_is_notified_and_an_online_one_is_not(mesh: Mesh, connect: Connect) -> None:
    alice_id, bob_id = pair()
    alice = await connect(alice_id, mesh.edges[0])
    carol = await connect(f"carol-{bob_id}", mesh.edges[1])
    group = await alice.rest.post("/groups", {"name": "Team", "memberIds": [bob_id, carol.user_id]})
    sent = await alice.say(group["group"]["id"], "are you there?")
    target = f"127.0.0.1:{mesh.notify.port}"
    async with open_channel(
        target, caller="test", callee="notify", secret=SecretStr(SERVICE_SECRET)
    ) as channel:
        notify = NotifyServiceStub(channel)
        async with asyncio.timeout(30):
            while True:
                ledger = await notify.ListLedger(ListLedgerRequest(message_id=sent["messageId"]))
                if any(entry.outcome == OUTCOME_SENT for entry in ledger.entries):
                    break
                await asyncio.sleep(0.05)
    assert {(*entry.user_ids, entry.outcome, entry.detail) for entry in ledger.entries} == {
        (bob_id, OUTCOME_SENT, ""),
        (carol.user_id, OUTCOME_SUPPRESSED, "active"),
    }


async def test_stored_messages_are_indexed_and_counted(mesh: Mesh, connect: Connect) -> None:
    alice_id, bob_id = pair()
    alice = await connect(alice_id, mesh.edges[0])
    chat_id = (await alice.rest.post("/chats", {"userId": bob_id}))["chat"]["id"]
    await alice.say(chat_id, f"Zebras {bob_id.replace('-', '')}")
    database = mesh.database()
    await eventually(lambda: database.terms.count_documents({"terms": "zebras"}) >= 1, "terms stored")
    await eventually(
        lambda: database.statistics.count_documents({"messages": {"$gte": 1}}) >= 1, "messages counted"
    )


async def test_a_poison_message_is_dead_lettered_while_its_neighbours_are_stored(mesh: Mesh) -> None:
    chat_id = new_object_id()

    def entry(seq: int) -> ChatEvent:
        event = ChatEvent(chat_id=chat_id, occurred_at_ms=1, epoch=1, seq=seq, number=seq)
        event.id = event.message.id = new_object_id()
        event.message.chat_id = chat_id
        event.message.sender_id = "alice"
        event.message.type = MESSAGE_TYPE_TEXT
        event.message.content = f"neighbour {seq}"
        event.message.client_msg_id = f"k-{seq}"
        event.message.created_at_ms = 1
        return event

    poison = b"\xff\xfe this is no protobuf"
    connection = await aio_pika.connect(mesh.rabbitmq.url)
    async with connection, connection.channel() as channel:
        for body in (
            PersistBatch(events=[entry(1)]).SerializeToString(),
            poison,
            PersistBatch(events=[entry(2)]).SerializeToString(),
        ):
            await channel.default_exchange.publish(aio_pika.Message(body), "message-persist")
        messages = mesh.database().messages
        await eventually(
            lambda: messages.count_documents({"content": {"$regex": "^neighbour"}}) == 2, "neighbours"
        )
        dead = await channel.get_queue("message-persist.dead", ensure=False)
        async with asyncio.timeout(30):
            while (found := await dead.get(fail=False)) is None:
                await asyncio.sleep(0.05)
        assert found.body == poison
        assert found.headers["x-parley-reason"]
        await found.ack()


async def test_persist_service_is_killed_and_comes_back_without_loss(mesh: Mesh, connect: Connect) -> None:
    alice_id, bob_id = pair()
    alice = await connect(alice_id, mesh.edges[0])
    bob = await connect(bob_id, mesh.edges[1])
    chat_id = (await alice.rest.post("/chats", {"userId": bob_id}))["chat"]["id"]
    await bob.wait_for("chat-created")
    acked = [(await alice.say(chat_id, f"before {number}"))["messageId"] for number in range(20)]
    mesh.persist.process.kill()
    acked += [(await alice.say(chat_id, f"while dead {number}"))["messageId"] for number in range(20)]
    # The recent log still answers for the newest page.
    page = await bob.rest.get(f"/chats/{chat_id}/messages?limit=40")
    assert [item["id"] for item in page["messages"]] == acked
    await mesh.persist.restart()
    acked += [(await alice.say(chat_id, f"after {number}"))["messageId"] for number in range(20)]
    delivered = await bob.wait_for("new-message", 60, chatId=chat_id)
    assert [item["id"] for item in delivered] == acked

    messages = mesh.database().messages
    query = {"senderId": alice_id}
    await eventually(lambda: messages.count_documents(query) >= 60, "all stored", seconds=30)
    stored = [str(item["_id"]) for item in sorted(messages.find(query), key=lambda item: item["seq"])]
    assert stored == acked
