"""From the queue to the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mesh.errors import InvalidArgument
from mesh.ids import new_object_id
from parley.events.v1.jobs_pb2 import NotificationType
from parley.notify.v1 import notify_service_pb2 as pb
from tests.integration.notify_service.conftest import dead_letters, job, new_user, running

if TYPE_CHECKING:
    from tests.integration.notify_service.conftest import Service


async def prefer(service: Service, user: str, **preferences: object) -> None:
    wanted = pb.Preferences(**({"enabled": True, "show_preview": True} | preferences))  # type: ignore[arg-type]
    await service.stub.SetPreferences(pb.SetPreferencesRequest(user_id=user, preferences=wanted))


async def test_each_user_of_a_batch_gets_the_entry_of_the_own_decision(service: Service) -> None:
    plain, disabled, muted, message_id, chat_id = new_user(), new_user(), new_user(), *ids(2)
    await prefer(service, disabled, enabled=False)
    await prefer(service, muted, muted_chat_ids=[chat_id])
    await service.publish(
        *(job(user, message_id=message_id, chat_id=chat_id) for user in (plain, disabled, muted))
    )
    entries = {entry.user_id: entry for entry in await service.settled(3, message_id=message_id)}
    assert {user: (entry.outcome, entry.detail) for user, entry in entries.items()} == {
        plain: (pb.OUTCOME_SENT, ""),
        disabled: (pb.OUTCOME_SUPPRESSED, "disabled"),
        muted: (pb.OUTCOME_SUPPRESSED, "muted"),
    }
    assert entries[plain].device_id == "0" * 24, "the log of development stands in for a device"
    assert entries[muted].device_id == ""
    assert {entry.chat_id for entry in entries.values()} == {chat_id}


async def test_every_device_has_an_entry_of_its_own(service: Service) -> None:
    user = new_user()
    for address in ("one", "two"):
        await service.stub.RegisterDevice(
            pb.RegisterDeviceRequest(user_id=user, kind=pb.DEVICE_KIND_LOG, address=address)
        )
    devices = await service.stub.ListDevices(pb.ListDevicesRequest(user_id=user))
    await service.publish(job(user))
    entries = await service.settled(2, user_id=user)
    assert {entry.device_id for entry in entries} == {device.id for device in devices.devices}
    assert {entry.outcome for entry in entries} == {pb.OUTCOME_SENT}


async def test_in_production_a_user_without_devices_gets_a_reason(amqp_url: str, mongo_url: str) -> None:
    user = new_user()
    async with running(amqp_url, mongo_url, env="production") as service:
        await service.publish(job(user))
        [entry] = await service.settled(1, user_id=user)
    assert (entry.outcome, entry.detail, entry.device_id) == (pb.OUTCOME_SUPPRESSED, "no-device", "")


async def test_a_batch_delivered_again_makes_no_second_entry(service: Service) -> None:
    told, untold = new_user(), new_user()
    await prefer(service, untold, enabled=False)
    batch = (job(told), job(untold))
    await service.publish(*batch)
    await service.publish(*batch, *batch)
    marker = new_user()
    await service.publish(job(marker))  # the queue is in order: what comes before it is done when it is
    await service.settled(1, user_id=marker)
    for user, outcome in ((told, pb.OUTCOME_SENT), (untold, pb.OUTCOME_SUPPRESSED)):
        assert [entry.outcome for entry in await service.ledger(user_id=user)] == [outcome]


async def test_the_ledger_answers_by_user_message_or_both_newest_first(service: Service) -> None:
    user, other = new_user(), new_user()
    jobs = [job(user) for _ in range(3)]
    for each in jobs:
        await service.publish(each)
        await service.settled(1, user_id=user, message_id=each.message.id)
    await service.publish(job(other, message_id=jobs[0].message.id))
    await service.settled(1, user_id=other)

    newest_first = [each.message.id for each in reversed(jobs)]
    assert [entry.message_id for entry in await service.ledger(user_id=user)] == newest_first
    assert [entry.message_id for entry in await service.ledger(user_id=user, limit=2)] == newest_first[:2]
    by_message = await service.ledger(message_id=jobs[0].message.id)
    assert [entry.user_id for entry in by_message] == [other, user]
    assert len(await service.ledger(user_id=user, message_id=jobs[0].message.id)) == 1
    assert await service.ledger(user_id=new_user()) == []


@pytest.mark.parametrize("query", [{}, {"user_id": "bob", "limit": 501}, {"user_id": "u" * 129}])
async def test_a_question_that_breaks_a_limit_is_refused(service: Service, query: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        await service.ledger(**query)


async def test_bytes_that_are_no_batch_are_dead_lettered_with_the_reason(service: Service) -> None:
    neighbour = new_user()
    garbage = b"\xff\xff not a batch " + new_user().encode()
    await service.publish_raw(garbage)
    await service.publish(job(neighbour))
    await service.settled(1, user_id=neighbour)
    [letter] = await dead_letters(service.amqp_url, garbage)
    assert "not a NotificationBatch" in str(letter.headers["x-parley-reason"])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"type": NotificationType.NOTIFICATION_TYPE_UNSPECIFIED}, "type:"),
        ({"chat_id": "not an id"}, "chat_id:"),
        ({"sender_id": "s" * 129}, "sender_id:"),
    ],
)
async def test_a_malformed_job_is_dead_lettered_alone(
    service: Service, broken: dict[str, object], reason: str
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


def ids(count: int) -> list[str]:
    return [new_object_id() for _ in range(count)]
