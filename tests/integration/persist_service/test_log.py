"""The stored log read forward, sends found again, new epochs of a log, revoked tokens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mesh.amqp.topology import MESSAGE_PERSIST, dead_queue
from mesh.ids import new_object_id
from parley.persist.v1 import persist_service_pb2 as pb
from persist_service.adapters import barrier
from tests.integration.persist_service.conftest import Log, batches
from tests.support.polling import eventually

if TYPE_CHECKING:
    import pytest

    from parley.events.v1.chat_event_pb2 import ChatEvent
    from tests.integration.persist_service.conftest import Service


async def entries(service: Service, chat_id: str, after_seq: int = 0, limit: int = 500) -> list[ChatEvent]:
    request = pb.ListEntriesRequest(chat_id=chat_id, after_seq=after_seq, limit=limit)
    return list((await service.stub.ListEntries(request)).entries)


async def rebuilt(service: Service, chat_id: str) -> pb.StoredHead:
    answer = await service.stub.RebuildHeads(pb.RebuildHeadsRequest(chat_ids=[chat_id, new_object_id()]))
    [head] = answer.heads
    return head


async def find(service: Service, *keys: tuple[str, str, str]) -> list[pb.FoundSend]:
    request = pb.FindSendsRequest(
        keys=[pb.SendKey(chat_id=chat, sender_id=sender, client_msg_id=key) for chat, sender, key in keys]
    )
    return list((await service.stub.FindSends(request)).sends)


async def test_messages_and_changes_come_back_as_one_log_as_they_were_delivered(service: Service) -> None:
    log = Log((await service.group("alice", "bob")).id)
    events = log.messages(30)
    for _ in range(30):
        events += [log.change(), log.message("bob"), log.change()]
    log.epoch, log.seq = 3, log.seq + 2 * 2**20
    events += [log.change(), *log.messages(30)]
    await service.broker.publish_many(list(batches(events, 40)))
    await service.stored(log.chat_id, log.seq)
    await eventually(lambda: service.db.messages.count_documents({}) == 90)
    await eventually(lambda: service.db.changes.count_documents({}) == 61)
    for limit in (7, 50, 500):
        found: list[ChatEvent] = []
        while page := await entries(service, log.chat_id, found[-1].seq if found else 0, limit):
            assert len(page) <= limit
            found += page
        assert found == events, limit
    assert await entries(service, log.chat_id, log.seq) == []
    assert await entries(service, new_object_id()) == []


async def test_an_answer_is_cut_before_it_is_too_large(service: Service) -> None:
    log = Log((await service.group("alice", "bob")).id)
    events = [log.message(content="x" * 500_000) for _ in range(6)]
    await service.broker.publish_many(list(batches(events, 2)))
    await service.stored(log.chat_id, 6)
    page = await entries(service, log.chat_id)
    assert [entry.seq for entry in page] == [1, 2, 3, 4]
    assert [entry.seq for entry in await entries(service, log.chat_id, 4)] == [5, 6]


async def test_a_stored_send_is_found_by_its_key_alone(service: Service) -> None:
    chat_id = (await service.direct("alice", "bob")).id
    log = Log(chat_id, epoch=2, seq=2**20)
    await service.publish(log.message("alice", client_msg_id="k-1"), log.message("bob", client_msg_id="k-2"))
    await service.stored(chat_id, log.seq)
    found = await find(
        service, (chat_id, "alice", "k-1"), (chat_id, "alice", "k-2"), (chat_id, "bob", "k-2"),
        (new_object_id(), "alice", "k-1"),
    )  # fmt: skip
    assert [item.HasField("message") for item in found] == [True, False, True, False]
    assert (found[0].message.id, found[0].message.seq, found[0].epoch) == (
        log.sent[0].message.id,
        2**20 + 1,
        2,
    )


async def test_a_message_under_two_positions_is_stored_once_and_leaves_no_hole(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    first = log.message(client_msg_id="once", content="hello")
    between = log.message()
    again = log.message(client_msg_id="once", content="hello")
    other = log.message(client_msg_id="once", content="something else")
    last = log.message()
    await service.publish(first, between, again, other, last)
    await service.publish(again, last)
    await service.stored(log.chat_id, last.seq)
    await eventually(lambda: service.db.changes.count_documents({}) == 2)
    found = await entries(service, log.chat_id)
    assert [entry.seq for entry in found] == [1, 2, 3, 4, 5]
    assert [entry.message.id for entry in found if entry.HasField("message")] == [
        first.message.id,
        between.message.id,
        last.message.id,
    ]
    assert [entry.WhichOneof("body") for entry in found[2:4]] == [None, None]
    assert [(entry.epoch, entry.number) for entry in found[2:4]] == [(1, 3), (1, 4)]
    history = [message.id for message in await service.history(log.chat_id)]
    assert history == [last.message.id, between.message.id, first.message.id]
    # The same words twice are settled; other words under the same key are somebody's to look at.
    [dead] = await service.taken(dead_queue(MESSAGE_PERSIST), 1)
    assert "same clientMsgId" in str(dead.headers["x-parley-reason"])


async def test_no_two_epochs_of_a_log_share_a_position(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    await service.publish(*log.messages(3))
    assert (await service.stored(log.chat_id, 3)).epoch == 1
    # Nothing of the second epoch is stored before that is lost as well; and two callers ask at once.
    epochs = [await rebuilt(service, log.chat_id)]
    epochs += await asyncio.gather(rebuilt(service, log.chat_id), rebuilt(service, log.chat_id))
    assert sorted((begun.epoch, begun.seq) for begun in epochs) == [
        (epoch, 3 + (epoch - 1) * 2**20) for epoch in (2, 3, 4)
    ]
    assert {begun.number for begun in epochs} == {3}
    # What was still on its way is stored at its own place.
    await service.publish(log.message())
    await eventually(lambda: service.db.messages.count_documents({}) == 4)
    assert service.head(log.chat_id).epoch == 4
    assert [message.seq for message in await service.history(log.chat_id)] == [4, 3, 2, 1]


async def test_a_new_epoch_begins_after_everything_of_the_old_one_is_stored(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(barrier, "_WAIT_SECONDS", 30.0)  # how fast this machine stores is no matter
    log = Log((await service.direct("alice", "bob")).id)
    for _ in range(3):
        await service.broker.publish_many(list(batches(log.messages(400), 2)))
        epochs = await asyncio.gather(*(rebuilt(service, log.chat_id) for _ in range(4)))
        assert {begun.number for begun in epochs} == {log.number}
        assert service.db.messages.count_documents({}) == log.number
        log.epoch, log.seq = max(begun.epoch for begun in epochs), max(begun.seq for begun in epochs)
    assert service.db.markers.count_documents({}) == 0


async def test_revocations_are_kept_and_never_move_back(service: Service) -> None:
    async def known() -> list[int]:
        request = pb.GetRevocationsRequest(user_ids=["alice", "bob"])
        return list((await service.stub.GetRevocations(request)).revoked_before_ms)

    assert await known() == [0, 0]
    for before_ms in (5_000, 9_000, 7_000):
        await service.stub.RevokeTokens(pb.RevokeTokensRequest(user_id="alice", before_ms=before_ms))
    assert await known() == [9_000, 0]
    for user_id, expected in (("alice", 9_000), ("bob", 0)):
        answer = await service.stub.UpsertUser(pb.UpsertUserRequest(user_id=user_id, name="Someone"))
        assert answer.revoked_before_ms == expected
