"""From the queue to the ledger."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from mesh.clock import now_ms
from mesh.errors import InvalidArgument
from mesh.ids import new_object_id
from parley.common.v1.chat_pb2 import Role
from parley.events.v1.jobs_pb2 import Notification, NotificationType
from parley.notify.v1 import notify_service_pb2 as pb
from parley.persist.v1.persist_service_pb2 import Attention
from tests.integration.notify_service.conftest import dead_letters, job, new_user, read, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping, Sequence

    from tests.integration.notify_service.conftest import Service


async def prefer(service: Service, user: str, **preferences: Any) -> None:
    wanted = pb.Preferences(**({"enabled": True, "show_preview": True} | preferences))
    await service.stub.SetPreferences(pb.SetPreferencesRequest(user_id=user, preferences=wanted))


async def register(service: Service, user: str, address: str) -> str:
    request = pb.RegisterDeviceRequest(user_id=user, kind=pb.DEVICE_KIND_LOG, address=address)
    return (await service.stub.RegisterDevice(request)).device.id


async def explain(service: Service, user: str, message_id: str) -> pb.ExplainNotificationResponse:
    request = pb.ExplainNotificationRequest(user_id=user, message_id=message_id)
    answer: pb.ExplainNotificationResponse = await service.stub.ExplainNotification(request)
    return answer


def about(entries: Sequence[pb.LedgerEntry]) -> list[tuple[int, str]]:
    return [(entry.outcome, entry.detail) for entry in entries]


async def test_each_user_of_a_job_gets_the_own_decision(service: Service) -> None:
    plain, disabled, muted, busy = (new_user() for _ in range(4))
    message_id, chat_id, at_ms = new_object_id(), new_object_id(), now_ms()
    await prefer(service, disabled, enabled=False)
    await prefer(service, muted, muted_chats=[pb.MutedChat(chat_id=chat_id)])
    common: dict[str, Any] = {"id": message_id, "chat_id": chat_id, "created_at_ms": at_ms}
    await service.publish(
        job(plain, disabled, muted, **common), job(busy, last_active_ms=at_ms - 1_000, **common)
    )
    await service.settled(4, message_id=message_id)
    found = {user: about(await service.ledger(user_id=user)) for user in (plain, disabled, muted, busy)}
    assert found == {
        plain: [(pb.OUTCOME_SENT, "")],
        disabled: [(pb.OUTCOME_SUPPRESSED, "disabled")],
        muted: [(pb.OUTCOME_SUPPRESSED, "muted")],
        busy: [(pb.OUTCOME_SUPPRESSED, "active")],
    }
    [sent] = await service.ledger(user_id=plain)
    assert (sent.device_id, sent.chat_id) == ("0" * 24, chat_id), "the log of development stands in"


async def test_one_decision_for_many_is_one_entry(service: Service) -> None:
    users = [new_user() for _ in range(5)]
    for user in users:
        await prefer(service, user, enabled=False)
    message_id = new_object_id()
    await service.publish(job(*users, id=message_id))
    [entry] = await service.settled(1, message_id=message_id)
    assert sorted(entry.user_ids) == sorted(users)


async def test_every_device_is_told_and_has_an_entry_of_its_own(service: Service) -> None:
    user = new_user()
    devices = {await register(service, user, address) for address in ("one", "two")}
    await service.publish(job(user))
    entries = await service.settled(2, user_id=user)
    assert {entry.device_id for entry in entries} == devices
    assert {entry.outcome for entry in entries} == {pb.OUTCOME_SENT}


async def test_in_production_a_user_without_devices_gets_a_reason(amqp_url: str, mongo_url: str) -> None:
    user = new_user()
    async with running(amqp_url, mongo_url, env="production") as service:
        await service.publish(job(user))
        [entry] = await service.settled(1, user_id=user)
    assert (entry.outcome, entry.detail, entry.device_id) == (pb.OUTCOME_SUPPRESSED, "no-device", "")


def shown_to(lines: list[MutableMapping[str, Any]], user: str) -> list[MutableMapping[str, Any]]:
    return [
        line for line in lines if line.get("user_id") == user and line["event"].startswith("notification.")
    ]


@pytest.fixture
async def patient(amqp_url: str, mongo_url: str) -> AsyncIterator[Service]:
    """A service that waits until all of a burst has arrived, also on a busy machine."""
    async with running(amqp_url, mongo_url, notify_delay_seconds=2, notify_delay_max_seconds=20) as started:
        yield started


async def test_a_burst_is_one_notification_that_counts_and_names_all_its_messages(patient: Service) -> None:
    service, user, chat_id = patient, new_user(), new_object_id()
    burst = [job(user, chat_id=chat_id, seq=seq, content=f"text {seq}") for seq in range(1, 51)]
    service.persist.attention[user] = Attention(role=Role.ROLE_MEMBER, unread=50)
    with capture_logs() as lines:
        await asyncio.gather(*(service.publish(*burst[start : start + 10]) for start in range(0, 50, 10)))
        [entry] = await service.settled(1, user_id=user)
        last = await notified_after(service, user, job(user, chat_id=chat_id, seq=51))
    assert set(entry.message_ids) == {each.new_message.message.id for each in burst}
    first, second = shown_to(lines, user)
    assert (first["title"], first["body"]) == ("Alice", "50 new messages: text 50")
    assert first["badge"] == 50, "a total that is behind is no less than what is notified"
    assert second["message_id"] == last


async def notified_after(service: Service, user: str, next_job: Notification) -> str:
    """Has one more message notified: what was to come before it has come."""
    message_id: str = next_job.new_message.message.id
    await service.publish(next_job)
    await service.settled(1, user_id=user, message_id=message_id)
    return message_id


async def test_a_job_delivered_again_tells_nobody_again(service: Service) -> None:
    notified, missed = new_user(), new_user()
    await prefer(service, missed, enabled=False)
    batch = (job(notified), job(missed))
    await service.publish(*batch, *batch)
    await service.settled(1, user_id=notified)
    await service.publish(*batch)
    await notified_after(service, notified, job(notified))
    assert about(await service.ledger(user_id=missed)) == [(pb.OUTCOME_SUPPRESSED, "disabled")]
    message_id = batch[0].new_message.message.id
    assert about(await service.ledger(user_id=notified, message_id=message_id)) == [(pb.OUTCOME_SENT, "")]


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (Attention(role=Role.ROLE_NONE), "not-a-member"),
        (Attention(role=Role.ROLE_MEMBER, read_seq=1), "read"),
        (Attention(role=Role.ROLE_MEMBER, delivered_seq=1), "seen"),
        (Attention(role=Role.ROLE_MEMBER, last_active_ms=2**41), "active"),
    ],
)
async def test_what_happened_meanwhile_is_looked_at_again(
    service: Service, known: Attention, reason: str
) -> None:
    user = new_user()
    service.persist.attention[user] = known
    await service.publish(job(user))
    assert about(await service.settled(1, user_id=user)) == [(pb.OUTCOME_SUPPRESSED, reason)]


async def test_a_deleted_message_is_not_told(service: Service) -> None:
    user, gone = new_user(), job(new_user())
    service.persist.deleted.add(gone.new_message.message.id)
    gone.new_message.recipients[0].user_id = user
    await service.publish(gone)
    assert about(await service.settled(1, user_id=user)) == [(pb.OUTCOME_SUPPRESSED, "deleted")]


async def test_reading_takes_away_what_devices_show(service: Service) -> None:
    user, chat_id = new_user(), new_object_id()
    devices = {await register(service, user, address) for address in ("one", "two")}
    with capture_logs() as lines:
        await service.publish(job(user, chat_id=chat_id, seq=4))
        await service.settled(2, user_id=user)
        await service.publish(read(user, chat_id, 3))
        await service.publish(read(user, chat_id, 4), read(user, chat_id, 4))
        entries = await service.settled(5, user_id=user)
        await notified_after(service, user, job(user, chat_id=chat_id, seq=5))
    pushes = [entry.message_ids for entry in entries if entry.device_id]
    assert sorted(map(len, pushes)) == [0, 0, 1, 1], "a clear-push is about no message"
    cleared = [line for line in shown_to(lines, user) if line["event"] == "notification.cleared"]
    assert {line["device_id"] for line in cleared} == devices
    assert [line["badge"] for line in cleared] == [7, 7]


async def test_who_is_removed_is_shown_nothing_of_the_chat_any_more(service: Service) -> None:
    user, other, chat_id = new_user(), new_user(), new_object_id()
    devices = {await register(service, user, address) for address in ("one", "two")}
    await register(service, other, "one")
    notified = job(user, other, chat_id=chat_id, seq=4)
    with capture_logs() as lines:
        await service.publish(notified)
        await service.settled(2, user_id=user)
        await service.settled(1, user_id=other)
        service.persist.attention[user] = Attention(role=Role.ROLE_NONE)
        await service.removed(user, chat_id, 5)
        await service.removed(user, chat_id, 5)
        entries = await service.settled(5, user_id=user)
        await notified_after(service, other, job(other, chat_id=chat_id, seq=6))
    [why] = [entry for entry in entries if entry.outcome == pb.OUTCOME_CLEARED]
    assert (why.detail, list(why.message_ids)) == ("not-a-member", [notified.new_message.message.id])
    cleared = [line for line in shown_to(lines, user) if line["event"] == "notification.cleared"]
    assert {line["device_id"] for line in cleared} == devices
    assert len(cleared) == 2
    assert not [line for line in shown_to(lines, other) if line["event"] == "notification.cleared"]
    request = pb.ExplainNotificationRequest(user_id=user, message_id=notified.new_message.message.id)
    answer: pb.ExplainNotificationResponse = await service.stub.ExplainNotification(request)
    assert answer.outcome == pb.OUTCOME_SENT
    assert answer.summary.endswith(": the user was no member of the chat any more.")


async def test_reading_of_what_is_not_shown_sends_nothing(service: Service) -> None:
    user, chat_id = new_user(), new_object_id()
    with capture_logs() as lines:
        await service.publish(read(user, chat_id, 4))
        await notified_after(service, user, job(user, chat_id=chat_id, seq=5))
    assert [line["event"] for line in shown_to(lines, user)] == ["notification.shown"]


async def test_a_mention_comes_through_a_muted_chat(service: Service) -> None:
    user, chat_id = new_user(), new_object_id()
    await prefer(service, user, muted_chats=[pb.MutedChat(chat_id=chat_id)], mention_overrides=True)
    group = NotificationType.NOTIFICATION_TYPE_GROUP_MESSAGE
    plain = job(user, chat_id=chat_id, kind=group)
    mention = job(user, chat_id=chat_id, seq=2, mentions=["carol", user], kind=group)
    await service.publish(plain, mention)
    entries = await service.settled(2, user_id=user)
    outcomes = {entry.message_ids[0]: entry.detail for entry in entries}
    assert outcomes == {plain.new_message.message.id: "muted", mention.new_message.message.id: ""}


async def test_nobody_is_told_blindly_while_persist_is_down(service: Service) -> None:
    user = new_user()
    service.persist.down = True
    waiting = job(user)
    await service.publish(waiting)

    asked = service.persist.calls
    async with asyncio.timeout(30):
        while asked["GetAttention"] < 2:
            await asyncio.sleep(0.02)
    answer = await explain(service, user, waiting.new_message.message.id)
    assert answer.outcome == pb.OUTCOME_PENDING
    assert await service.ledger(user_id=user) == []

    service.persist.down = False
    assert about(await service.settled(1, user_id=user)) == [(pb.OUTCOME_SENT, "")]


async def test_the_ledger_answers_by_user_message_or_both_newest_first(service: Service) -> None:
    user, other = new_user(), new_user()
    jobs = [job(user) for _ in range(3)]
    for each in jobs:
        await notified_after(service, user, each)
    first = jobs[0].new_message.message
    await notified_after(service, other, job(other, id=first.id))

    newest_first = [each.new_message.message.id for each in reversed(jobs)]
    assert [entry.message_ids[0] for entry in await service.ledger(user_id=user)] == newest_first
    limited = await service.ledger(user_id=user, limit=2)
    assert [entry.message_ids[0] for entry in limited] == newest_first[:2]
    by_message = await service.ledger(message_id=first.id)
    assert [entry.user_ids[0] for entry in by_message] == [other, user]
    assert len(await service.ledger(user_id=user, message_id=first.id)) == 1
    assert await service.ledger(user_id=new_user()) == []


@pytest.mark.parametrize("query", [{}, {"user_id": "bob", "limit": 501}, {"user_id": "u" * 129}])
async def test_a_question_that_breaks_a_limit_is_refused(service: Service, query: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        await service.ledger(**query)


@pytest.mark.parametrize("garbage", [b"\xff\xff not a batch ", b""])
async def test_bytes_that_are_no_batch_are_dead_lettered_with_the_reason(
    service: Service, garbage: bytes
) -> None:
    neighbour = new_user()
    garbage += new_user().encode() if garbage else b""
    await service.publish_raw(garbage)
    await service.publish(job(neighbour))
    await service.settled(1, user_id=neighbour)
    letter, *_ = await dead_letters(service.amqp_url, garbage)
    assert "NotificationBatch" in str(letter.headers["x-parley-reason"])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"kind": NotificationType.NOTIFICATION_TYPE_UNSPECIFIED}, "type:"),
        ({"chat_id": "not an id"}, "message.chat_id:"),
        ({"sender_id": "s" * 129}, "message.sender_id:"),
        ({"seq": 0}, "message.seq:"),
        ({"seq": 2**63}, "message.seq:"),
        ({"created_at_ms": -1}, "message.created_at_ms:"),
        ({"created_at_ms": 2**62}, "message.created_at_ms:"),
    ],
)
async def test_a_malformed_job_is_dead_lettered_alone(
    service: Service, broken: dict[str, Any], reason: str
) -> None:
    first, poison, last = new_user(), new_user(), new_user()
    await service.publish(job(first), job(poison, **broken), job(last))
    for neighbour in (first, last):
        [entry] = await service.settled(1, user_id=neighbour)
        assert entry.outcome == pb.OUTCOME_SENT
    [letter] = await dead_letters(service.amqp_url, poison.encode())
    assert str(letter.headers["x-parley-reason"]).startswith(reason)
    assert first.encode() not in letter.body
    assert await service.ledger(user_id=poison) == []


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (job(*(["twice"] * 2)), "recipients: a user comes twice"),
        (job(), "recipients: must be 1 to 500"),
        (job(*(f"u{number}" for number in range(501))), "recipients: must be 1 to 500"),
        (job("u" * 129), "recipients.user_id:"),
        (read("bob", "chat", 1), "read_up_to.chat_id:"),
        (read("", "c" * 24, 1), "read_up_to.user_id:"),
        (read("bob", "c" * 24, 0), "read_up_to.seq:"),
        (Notification(), "body:"),
    ],
    ids=["repeated", "nobody", "too many", "long id", "chat", "no user", "no position", "nothing"],
)
async def test_every_kind_of_malformed_job_is_named(
    service: Service, poison: Notification, reason: str
) -> None:
    await service.publish(poison)
    letters = await dead_letters(service.amqp_url, poison.SerializeToString())
    assert str(letters[0].headers["x-parley-reason"]).startswith(reason)


@pytest.mark.parametrize(("counts", "badges"), [(False, (5, 5)), (True, (7, 7))])
async def test_muted_chats_are_in_the_badge_where_the_deployment_wants_that(
    amqp_url: str, mongo_url: str, *, counts: bool, badges: tuple[int, int]
) -> None:
    user, chat_id, muted = new_user(), new_object_id(), new_object_id()
    chats = [pb.MutedChat(chat_id=muted), pb.MutedChat(chat_id=new_object_id(), until_ms=1)]
    async with running(amqp_url, mongo_url, notify_badge_muted=counts) as service:
        await prefer(service, user, muted_chats=chats, mention_overrides=True)
        with capture_logs() as lines:
            await notified_after(service, user, job(user, chat_id=chat_id))
            mention = job(
                user, chat_id=muted, mentions=[user], kind=NotificationType.NOTIFICATION_TYPE_GROUP_MESSAGE
            )
            await notified_after(service, user, mention)
    assert tuple(line["badge"] for line in shown_to(lines, user)) == badges
