"""Read and delivery pointers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from mesh.amqp.deliveries import REASON_HEADER
from mesh.amqp.topology import MESSAGE_READ, dead_queue
from parley.events.v1.jobs_pb2 import Pointer, PointerBatch
from parley.persist.v1 import persist_service_pb2 as pb
from tests.integration.persist_service.conftest import Log
from tests.support.polling import eventually

if TYPE_CHECKING:
    from tests.integration.persist_service.conftest import Service


async def pointers(service: Service, chat_id: str) -> dict[str, pb.MemberPointers]:
    answer = await service.stub.ListPointers(pb.ListPointersRequest(chat_id=chat_id))
    return {pointer.user_id: pointer for pointer in answer.pointers}


async def read_up_to(service: Service, chat_id: str, user_id: str, seq: int) -> pb.MemberPointers:
    async def there() -> pb.MemberPointers | None:
        pointer = (await pointers(service, chat_id))[user_id]
        return pointer if pointer.read_seq >= seq else None

    return await eventually(there)


async def move(service: Service, *moves: Pointer) -> None:
    await service.broker.publish(MESSAGE_READ, PointerBatch(pointers=moves).SerializeToString())


async def test_sending_is_having_read(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    await service.publish(*log.messages(3), log.message("bob"))
    await read_up_to(service, log.chat_id, "bob", 4)
    found = await pointers(service, log.chat_id)
    assert [(p.user_id, p.read_seq, p.read_number) for p in found.values()] == [
        ("alice", 3, 3),
        ("bob", 4, 4),
    ]
    assert found["alice"].read_at_ms == log.sent[2].message.created_at_ms


async def test_pointers_go_only_forward_in_any_order(service: Service) -> None:
    chat = await service.group("alice", "bob")
    moves = [
        Pointer(chat_id=chat.id, user_id="bob", read_seq=n, read_number=n - 1, at_ms=1_000 + n)
        for n in range(1, 101)
    ]
    moves += [Pointer(chat_id=chat.id, user_id="bob", delivered_seq=n, at_ms=5) for n in range(1, 121)]
    random.Random(3).shuffle(moves)
    for start in range(0, len(moves), 10):
        await move(service, *moves[start : start + 10])
    await move(service, Pointer(chat_id=chat.id, user_id="alice", read_seq=1, at_ms=1))
    await read_up_to(service, chat.id, "alice", 1)
    bob = (await pointers(service, chat.id))["bob"]
    assert (bob.read_seq, bob.read_number, bob.read_at_ms, bob.delivered_seq) == (100, 99, 1_100, 120)


async def test_a_pointer_drops_the_cached_list_of_its_user_only(service: Service) -> None:
    chat = await service.direct("alice", "bob")
    for user_id in ("alice", "bob"):
        assert (await service.chats(user_id))[chat.id].read_seq == 0
    # Behind the service's back: whoever is served from the cache does not see it.
    service.db.memberships.update_many({}, {"$set": {"readSeq": 3}})
    assert (await service.chats("bob"))[chat.id].read_seq == 0
    await move(service, Pointer(chat_id=chat.id, user_id="bob", read_seq=7, read_number=7, at_ms=1))
    await read_up_to(service, chat.id, "bob", 7)

    async def fresh() -> bool | None:
        return True if (await service.chats("bob"))[chat.id].read_seq == 7 else None

    await eventually(fresh)
    assert (await service.chats("alice"))[chat.id].read_seq == 0


async def test_a_bad_pointer_dies_alone(service: Service) -> None:
    chat = await service.direct("alice", "bob")
    await move(
        service,
        Pointer(chat_id=chat.id, user_id="", read_seq=4, at_ms=1),
        Pointer(chat_id=chat.id, user_id="bob", read_seq=5, at_ms=1),
        Pointer(chat_id=chat.id, user_id="outsider", read_seq=5, at_ms=1),
    )
    await read_up_to(service, chat.id, "bob", 5)
    [dead] = await service.taken(dead_queue(MESSAGE_READ), 1)
    assert PointerBatch.FromString(dead.body).pointers[0].read_seq == 4
    assert "user_id" in str(dead.headers[REASON_HEADER])
    assert "outsider" not in await pointers(service, chat.id)
