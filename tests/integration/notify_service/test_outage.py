"""MongoDB goes away and comes back: what waits, what is told, and that nothing is lost or sent twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aio_pika
import httpx
import pytest

from devstack.servers import MongoServer
from mesh.amqp.topology import NOTIFICATION_SEND, RETRY_TIERS, dead_queue
from mesh.errors import Unavailable
from mesh.ids import new_object_id
from notify_service.adapters.mongo.database import ensure_indexes, open_database
from notify_service.adapters.mongo.devices import MongoDeviceStore
from notify_service.adapters.mongo.ledger import MongoLedger
from notify_service.adapters.mongo.preferences import MongoPreferenceStore
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.ledger import Outcome
from notify_service.domain.notification import Notification
from notify_service.ports import SendRefusedError
from notify_service.use_cases.notify_users import NotifyUsers
from parley.notify.v1 import notify_service_pb2 as pb
from tests.integration.notify_service.conftest import eventually, job, new_user, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from notify_service.domain.wording import Wording

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def own_mongo() -> Iterator[MongoServer]:
    """A server that a test may stop."""
    with MongoServer() as server:
        yield server


async def ready(admin_port: int) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{admin_port}/readyz")).status_code


async def waiting(amqp_url: str, *queues: str) -> int:
    """Messages in queues that do not belong to an outage."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        states = [(await channel.declare_queue(queue, passive=True)).declaration_result for queue in queues]
        return sum(state.message_count or 0 for state in states)


async def test_jobs_wait_for_mongodb_and_none_is_given_up(amqp_url: str, own_mongo: MongoServer) -> None:
    users = [new_user() for _ in range(20)]
    async with running(amqp_url, own_mongo.url) as service:
        await service.publish(job(users[0]))
        await service.settled(1, user_id=users[0])
        elsewhere = (dead_queue(NOTIFICATION_SEND), *(tier.name for tier in RETRY_TIERS))
        before = await waiting(amqp_url, *elsewhere)

        own_mongo.kill()
        for user in users[1:]:
            await service.publish(job(user))

        async def unready() -> bool | None:
            return True if await ready(service.ports["admin"]) == httpx.codes.SERVICE_UNAVAILABLE else None

        await eventually(unready)
        with pytest.raises(Unavailable, match="mongodb"):
            await service.ledger(user_id=users[0])
        assert await waiting(amqp_url, *elsewhere) == before, "a good job was moved because of the outage"

        own_mongo.start()
        for user in users:
            [entry] = await eventually(lambda user=user: entries_of(service, user))  # type: ignore[misc]
            assert entry.outcome == pb.OUTCOME_SENT


async def entries_of(service: object, user: str) -> list[pb.LedgerEntry] | None:
    """The settled entries of a user, as soon as the service answers again."""
    try:
        entries: list[pb.LedgerEntry] = await service.ledger(user_id=user)  # type: ignore[attr-defined]
    except Unavailable:
        return None
    return entries if entries and entries[0].outcome != pb.OUTCOME_PENDING else None


class Provider:
    """A provider that counts what it gets, and may do something first."""

    def __init__(self, first: Callable[[], None] = lambda: None) -> None:
        self.taken: list[str] = []
        self._first = first

    async def send(self, notification: Notification, wording: Wording, device: Device) -> None:  # noqa: ARG002
        self._first()
        self.taken.append(f"{notification.message_id} {wording.body}")
        if "refuse" in notification.content:
            raise SendRefusedError("410 Gone")
        if "break" in notification.content:
            raise KeyError("a defect")


async def test_an_outcome_that_cannot_be_written_is_kept_and_nothing_is_sent_twice(
    own_mongo: MongoServer,
) -> None:
    notification = Notification(new_user(), new_object_id(), new_object_id(), "alice", "hello")
    provider = Provider(first=own_mongo.kill)
    async with open_database(own_mongo.url) as database:
        await ensure_indexes(database)
        ledger = MongoLedger(database)
        notify = NotifyUsers(
            MongoDeviceStore(database),
            MongoPreferenceStore(database),
            ledger,
            {DeviceKind.LOG: provider},
            implicit_log_device=True,
        )
        for _ in range(2):
            with pytest.raises(Unavailable):
                await notify([notification])
        own_mongo.start()
        assert await notify([notification]) == []
        [entry] = await ledger.find(notification.user_id, "", 10)
    assert entry.outcome is Outcome.SENT
    assert len(provider.taken) == 1


async def test_a_refused_or_defective_send_is_recorded_and_spares_its_neighbours(mongo_url: str) -> None:
    good, refused, defect = (
        Notification(new_user(), new_object_id(), new_object_id(), "alice", content)
        for content in ("hello", "refuse this", "break here")
    )
    provider = Provider()
    async with open_database(mongo_url) as database:
        await ensure_indexes(database)
        ledger = MongoLedger(database)
        notify = NotifyUsers(
            MongoDeviceStore(database),
            MongoPreferenceStore(database),
            ledger,
            {DeviceKind.LOG: provider},
            implicit_log_device=True,
        )
        assert await notify([good, refused, defect, good]) == []
        details = [
            (entry.outcome, entry.detail)
            for notification in (good, refused, defect)
            for entry in await ledger.find(notification.user_id, "", 10)
        ]
    assert details == [
        (Outcome.SENT, ""),
        (Outcome.FAILED, "410 Gone"),
        (Outcome.FAILED, "defect of the sender: KeyError"),
    ]
    assert len(provider.taken) == 3


async def test_a_send_that_was_cut_off_is_not_repeated_before_its_lease_is_over(mongo_url: str) -> None:
    class Hanging:
        def __init__(self) -> None:
            self.calls = 0
            self.called = asyncio.Event()

        async def send(self, notification: Notification, wording: Wording, device: Device) -> None:  # noqa: ARG002
            self.calls += 1
            self.called.set()
            await asyncio.Event().wait()

    notification = Notification(new_user(), new_object_id(), new_object_id(), "alice", "hello")
    provider = Hanging()
    async with open_database(mongo_url) as database:
        await ensure_indexes(database)
        ledger = MongoLedger(database)
        notify = NotifyUsers(
            MongoDeviceStore(database),
            MongoPreferenceStore(database),
            ledger,
            {DeviceKind.LOG: provider},
            implicit_log_device=True,
        )
        call = asyncio.create_task(notify([notification]))
        await provider.called.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await notify([notification]) == [notification], "it is to come again later"
        [entry] = await ledger.find(notification.user_id, "", 10)
    assert entry.outcome is Outcome.PENDING
    assert provider.calls == 1
