"""What a delivery costs notify_service: the engine with a sender that does nothing, and the bare driver.

All deliveries wait in MongoDB when the engine starts, as after an outage. It runs in this process, with the
handler for devices: each delivery is claimed, its device looked up, its attempt made, entered into the ledger
and settled. The floor is what that takes at least of PyMongo: for every 64 deliveries one find, one
update to claim, one insert_many of the ledger's entries and one update to settle, on documents of the same
size and with the same indexes. CPU is this process's alone, without MongoDB's.

    python bench/bench_notify_engine.py [--deliveries 2000] [--slots 64]
"""

import argparse
import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection as PyMongoCollection

from devstack.servers import MongoServer
from mesh.cancellation import end
from mesh.clock import now_ms
from mesh.ids import new_object_id
from mesh.mongo import Mongo
from notify_service.adapters.mongo.database import DATABASE, open_mongo
from notify_service.adapters.mongo.deliveries import MongoDeliveries
from notify_service.adapters.mongo.devices import MongoDeviceStore
from notify_service.adapters.mongo.inbox import MongoInboxes
from notify_service.adapters.mongo.indexes import INDEXES, make_indexes
from notify_service.adapters.mongo.ledger import MongoLedger
from notify_service.adapters.mongo.preferences import MongoPreferenceStore
from notify_service.delivery.brake import BrakeLimits
from notify_service.delivery.device_handler import DeviceDeliveryHandler
from notify_service.delivery.engine import Deliver, Pace
from notify_service.delivery.provider_limiter import Limits
from notify_service.delivery.trust import Trust
from notify_service.domain.decision import Policy
from notify_service.domain.delivery import Lane, NewDelivery
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.push import Push, PushKind, to_payload
from notify_service.inbox.inbox import InboxKey, Rhythm
from notify_service.inbox.last_look import LastLook
from notify_service.inbox.recheck import Attention
from notify_service.people.lookup import People

_DEVICES = 200
_BATCH = 64
_DAY_MS = 86_400_000


class NullSender:
    """Takes everything at once."""

    def provider(self, device: Device) -> str:
        """One for all."""
        return device.kind.value

    async def send(self, push: Push, device: Device) -> str:  # noqa: ARG002 - it does nothing with them
        """Does nothing."""
        return ""


class Everybody:
    """Members who have read nothing: what it takes to ask persist_service is not measured here."""

    async def attention(
        self,
        keys: Sequence[InboxKey],
        messages: Collection[tuple[str, str]],  # noqa: ARG002
    ) -> tuple[Sequence[Attention], Collection[str]]:
        """Members, all of them."""
        return [Attention(member=True, unread=1)] * len(keys), ()

    async def unread_totals(self, without: Mapping[str, Collection[str]]) -> Mapping[str, int]:
        """One for each."""
        return dict.fromkeys(without, 1)


def _last_look(mongo: Mongo, devices: MongoDeviceStore) -> LastLook:
    policy = Policy({DeviceKind.FCM}, implicit_log_device=False, idle_ms=300_000)
    people = People(devices, MongoPreferenceStore(mongo))
    return LastLook(MongoInboxes(mongo, Rhythm(0, 0, 0)), Everybody(), people, policy)


@dataclass(frozen=True, slots=True)
class Cost:
    """What so many deliveries took."""

    deliveries: int
    seconds: float
    cpu_seconds: float

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of one."""
        return self.cpu_seconds / self.deliveries * 1e6

    def __str__(self) -> str:
        return f"{self.deliveries / self.seconds:8.0f} deliveries/s   {self.cpu_us:7.1f} us CPU a delivery"


class _Watch:
    """Times what happens until `stop`."""

    def __init__(self) -> None:
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def stop(self, deliveries: int) -> Cost:
        return Cost(deliveries, time.perf_counter() - self._began, time.process_time() - self._cpu_began)


def _push(device: Device, number: int) -> NewDelivery:
    at_ms, chat_id, message_id = now_ms(), new_object_id(), new_object_id()
    push = Push(PushKind.SHOW, chat_id, 7, "Alice · Team", "x" * 100, message_id, "alice", 1, at_ms)
    return NewDelivery(
        key=f"{new_object_id()}:{device.id}:{number}",
        lane=Lane.DEVICE,
        provider=device.kind.value,
        target_id=device.id,
        payload=to_payload(push),
        created_at_ms=at_ms,
        expires_at_ms=at_ms + _DAY_MS,
        user_id=device.user_id,
        chat_id=chat_id,
        message_ids=(message_id,),
    )


async def _settled(mongo: Mongo) -> None:
    waiting = mongo.collection("deliveries").find({"waiting": True}, {"_id": 1}).hint("due").limit(1)
    while await waiting.clone().to_list(1):  # noqa: ASYNC110 - the engine tells nobody when it is idle
        await asyncio.sleep(0.25)


async def _engine(url: str, count: int, slots: int) -> tuple[Cost, Cost]:
    async with open_mongo(url) as mongo:
        await mongo.prepare(make_indexes)
        devices = MongoDeviceStore(mongo)
        known = [
            await devices.register(f"user-{n}", DeviceKind.FCM, f"token-{n}" * 10, "", now_ms(), keep=50)
            for n in range(_DEVICES)
        ]
        store = MongoDeliveries(mongo)
        new = [_push(known[number % _DEVICES], number) for number in range(count)]
        adding = _Watch()
        await store.add(new)
        added = adding.stop(count)
        handler = DeviceDeliveryHandler(
            devices,
            {DeviceKind.FCM: NullSender()},
            MongoLedger(mongo),
            _last_look(mongo, devices),
            Trust(BrakeLimits()),
        )
        limits = Limits(concurrency=slots, rate=1e9, unearned=slots, shared=slots)
        deliver = Deliver(store, {Lane.DEVICE: handler}, limits, Pace())
        delivering = _Watch()
        task = asyncio.create_task(deliver.run())
        await _settled(mongo)
        delivered = delivering.stop(count)
        await deliver.drain()
        await end(task)
        sent = await mongo.collection("ledger").count_documents({"outcome": "sent"})
        assert sent == count, f"{sent} of {count} were sent"
        return added, delivered


def _floor(url: str, count: int) -> Cost:
    """The same documents once more, by the driver alone."""
    client: MongoClient[dict[str, Any]] = MongoClient(url, w="majority")
    with client:
        source, plain = client[DATABASE], client["plain"]
        for name in ("deliveries", "ledger"):
            plain[name].create_indexes(list(INDEXES[name]))
        _copy_waiting(source["deliveries"], plain["deliveries"], count)
        entries = [{**entry, "_id": ObjectId()} for entry in source["ledger"].find().limit(count)]
        watch = _Watch()
        for start in range(0, count, _BATCH):
            found = list(plain["deliveries"].find({"waiting": True}).hint("due").limit(_BATCH))
            mine = {"_id": {"$in": [document["_id"] for document in found]}}
            plain["deliveries"].update_many(mine, {"$set": {"holder": "me"}, "$inc": {"attempt": 1}})
            plain["ledger"].insert_many(entries[start : start + _BATCH], ordered=False)
            settle = {"$set": {"outcome": "sent", "settledAt": datetime.now(UTC)}}
            plain["deliveries"].update_many(mine, {**settle, "$unset": {"waiting": "", "payload": ""}})
        return watch.stop(count)


def _copy_waiting(
    source: PyMongoCollection[dict[str, Any]], plain: PyMongoCollection[dict[str, Any]], count: int
) -> None:
    again = {"waiting": True, "dueAt": datetime.now(UTC), "payload": b"x" * 300}
    for start in range(0, count, 500):
        documents = source.find().skip(start).limit(min(500, count - start))
        plain.insert_many([{**document, **again} for document in documents])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--deliveries", type=int, default=2000)
    parser.add_argument("--slots", type=int, default=64)
    arguments = parser.parse_args()
    with MongoServer() as server:
        added, delivered = asyncio.run(_engine(server.url, arguments.deliveries, arguments.slots))
        floor = _floor(server.url, arguments.deliveries)
    print(f"add      {added}")
    print(f"deliver  {delivered}")
    print(f"driver   {floor}")
    print(f"deliver : driver = {delivered.cpu_us / floor.cpu_us:.2f} : 1 in CPU")


if __name__ == "__main__":
    main()
