"""MongoDB as a replica set, as far as one stand-in can play it.

It names itself the primary of a set of one, and it can be told to answer as a primary that steps down.
Elections and secondaries it has none: what a real set does in those seconds was not run here.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import MongoClient

from devstack.ports import free_port
from tests.integration.mongo_faults import ObedientMongo
from tests.integration.persist_service.conftest import Log, Servers, batches, running, serving
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.servers import MongoServer

_NOT_WRITABLE_PRIMARY = 10_107
_SET = "secantus"
_WRITES = ("insert", "update", "bulkWrite", "findAndModify")


@pytest.fixture(scope="module")
def mongo() -> Iterator[ObedientMongo]:
    with ObedientMongo() as server:
        yield server


def _as_a_set(servers: Servers, mongo: MongoServer) -> Servers:
    """The URL of a set, one of whose nodes is dead, with a read preference that must not be followed."""
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{mongo.port}"
    # A real server tells at once that its role changed; of the stand-in it must be asked.
    asking = "serverMonitoringMode=poll&heartbeatFrequencyMS=500"
    url = f"mongodb://{hosts}/?replicaSet={_SET}&readPreference=secondary&{asking}"
    return dataclasses.replace(servers, mongo_url=url)


@pytest.mark.parametrize(
    ("how", "times"),
    [
        pytest.param({"closeConnection": True}, 1, id="goes-away"),
        pytest.param({"errorCode": _NOT_WRITABLE_PRIMARY}, 6, id="steps-down"),
    ],
)
async def test_a_change_of_the_primary_under_load_loses_nothing_and_stores_nothing_twice(
    servers: Servers, mongo: ObedientMongo, how: dict[str, Any], times: int
) -> None:
    """Six failures in a row are more than the driver hides: then the batch is held and tried again."""
    async with running(_as_a_set(servers, mongo)) as service:
        await serving(service)
        log = Log((await service.direct("alice", "bob")).id)
        published = log.messages(300)
        for number, outgoing in enumerate(batches(published, 20)):
            if number in {3, 9}:
                mongo.fail(_WRITES, {"times": times}, **how)
            await service.broker.publish_many([outgoing])
        with MongoClient[dict[str, Any]](mongo.url, directConnection=True) as client:
            messages = client[servers.database].messages
            await eventually(lambda: messages.count_documents({}) >= len(published))
            stored = [message["seq"] for message in messages.find().sort("seq")]
    mongo.obey()
    assert stored == list(range(1, 301))
