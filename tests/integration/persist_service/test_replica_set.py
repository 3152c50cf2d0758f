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
from devstack.servers import MongoServer
from tests.integration.persist_service.conftest import Log, Servers, batches, holds, running, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.process import ManagedProcess

_NOT_WRITABLE_PRIMARY = 10_107
_SET = "secantus"
_WRITES = ("insert", "update", "bulkWrite", "findAndModify")


class _Obedient(MongoServer):
    """One that fails when it is told to."""

    def _describe(self) -> tuple[ManagedProcess, ...]:
        (usual,) = super()._describe()
        usual.argv = (*usual.argv, "--enable-test-commands")
        return (usual,)


@pytest.fixture(scope="module")
def mongo() -> Iterator[_Obedient]:
    with _Obedient() as server:
        yield server


def _as_a_set(servers: Servers, mongo: MongoServer) -> Servers:
    """The URL of a set, one of whose nodes is dead, with a read preference that must not be followed."""
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{mongo.port}"
    # A real server tells at once that its role changed; of the stand-in it must be asked.
    asking = "serverMonitoringMode=poll&heartbeatFrequencyMS=500"
    url = f"mongodb://{hosts}/?replicaSet={_SET}&readPreference=secondary&{asking}"
    return dataclasses.replace(servers, mongo_url=url)


def _fail(mongo: MongoServer, times: int, **how: Any) -> None:
    with MongoClient[dict[str, Any]](mongo.url, directConnection=True) as client:
        data = {"failCommands": list(_WRITES), **how}
        client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)


@pytest.mark.parametrize(
    ("how", "times"),
    [
        pytest.param({"closeConnection": True}, 1, id="goes-away"),
        pytest.param({"errorCode": _NOT_WRITABLE_PRIMARY}, 6, id="steps-down"),
    ],
)
async def test_a_change_of_the_primary_under_load_loses_nothing_and_stores_nothing_twice(
    servers: Servers, mongo: _Obedient, how: dict[str, Any], times: int
) -> None:
    """Six failures in a row are more than the driver hides: then the batch is held and tried again."""
    async with running(_as_a_set(servers, mongo)) as service:
        await serving(service)
        log = Log((await service.direct("alice", "bob")).id)
        published = log.messages(300)
        for number, outgoing in enumerate(batches(published, 20)):
            if number in {3, 9}:
                _fail(mongo, times, **how)
            await service.broker.publish_many([outgoing])
        with MongoClient[dict[str, Any]](mongo.url, directConnection=True) as client:
            messages = client[servers.database].messages
            await holds(lambda: messages.count_documents({}) >= len(published))
            stored = [message["seq"] for message in messages.find().sort("seq")]
            client.admin.command("configureFailPoint", "failCommand", mode="off")
    assert stored == list(range(1, 301))
