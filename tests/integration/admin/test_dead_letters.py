"""The dead-letter command on a RabbitMQ of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage
from pydantic import SecretStr

from admin.__main__ import main
from devstack.ports import free_port
from devstack.servers import RabbitMQServer
from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.deliveries import (
    ATTEMPT_HEADER,
    FIRST_FAILED_HEADER,
    REASON_HEADER,
    Ack,
    Dead,
    Delivery,
    Outcome,
)
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import ANALYTICS, MESSAGE_PERSIST, QUEUES, Topology, dead_queue
from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import PersistBatch

ROOT = Path(__file__).parents[3]
SAID = "what only the members of the chat may read"
Run = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitMQServer]:
    with RabbitMQServer() as server:
        yield server


@pytest.fixture
async def broker(server: RabbitMQServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Broker]:
    monkeypatch.setenv("PARLEY_AMQP_URL", server.url)
    topology = Topology(QUEUES, delivery_limit=3)
    async with Broker(SecretStr(server.url), name="test", topology=topology) as broker:
        session = await broker.session()
        async with await session.connection.channel() as channel:
            for queue in QUEUES:
                for name in (queue, dead_queue(queue)):
                    await (await channel.get_queue(name)).purge()
        yield broker


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    async def run(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()  # what the test's own broker and consumer logged
        code = await asyncio.to_thread(main, ("dead-letters", *arguments))
        out = capsys.readouterr().out
        return code, json.loads(out) if "--json" in arguments else out

    return run


async def _ids(run: Run, queue: str = MESSAGE_PERSIST) -> list[str]:
    _, listed = await run("list", "--json", "--queue", queue, "--limit", "1000")
    return [letter["messageId"] for letter in listed["letters"]]


async def _all_of(broker: Broker, queue: str) -> list[AbstractIncomingMessage]:
    """Takes all out."""
    session = await broker.session()
    found = []
    async with await session.connection.channel() as channel:
        source = await channel.get_queue(queue)
        while message := await source.get(fail=False, no_ack=True):
            found.append(message)
    return found


async def _die(broker: Broker, count: int, body: bytes = b"") -> None:
    """Lets a consumer refuse so many messages, ids `m0`, `m1` …"""
    refused = asyncio.Event()
    seen = 0

    async def handler(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        nonlocal seen
        seen += len(deliveries)
        if seen >= count:
            refused.set()
        return [Dead(f"refused {delivery.message_id}") for delivery in deliveries]

    consumer = Consumer(broker, MESSAGE_PERSIST, handler)
    running = asyncio.create_task(consumer.run())
    for number in range(count):
        await broker.publish_many([Outgoing(MESSAGE_PERSIST, body, message_id=f"m{number}")])
    await refused.wait()
    await consumer.stop()
    await running


async def test_it_lists_and_shows_without_saying_what_users_wrote(broker: Broker, run: Run) -> None:
    batch = PersistBatch(events=[ChatEvent(chat_id="c" * 24, seq=7, message=Message(content=SAID))])
    await _die(broker, 3, batch.SerializeToString())
    code, table = await run("list")
    assert code == 0
    assert [line.split()[:2] for line in table.splitlines()[1:4]] == [
        [MESSAGE_PERSIST, f"m{n}"] for n in range(3)
    ]
    assert "refused m1" in table
    assert table.endswith("dead: 3 of message-persist\n")

    _, listed = await run("list", "--json", "--limit", "2")
    assert listed["counts"] == {queue: 3 if queue == MESSAGE_PERSIST else 0 for queue in QUEUES}
    assert [letter["attempts"] for letter in listed["letters"]] == [1, 1]
    assert all(letter["firstFailedAt"].endswith("Z") for letter in listed["letters"])

    _, shown = await run("show", "--id", "m1")
    assert "refused m1" in shown
    _, shown_all = await run("show", "--json")
    for output in (table, shown, json.dumps(listed), json.dumps(shown_all)):
        assert SAID not in output
    _, bodies = await run("show", "--id", "m1", "--body", "--json")
    [event] = bodies[0]["body"]["PersistBatch"]["events"]
    assert event["message"]["content"] == SAID
    assert event["seq"] == "7"
    assert (await run("show", "--id", "nobody"))[0] == 1


async def test_a_body_that_is_no_protobuf_is_shown_as_it_is(broker: Broker, run: Run) -> None:
    await broker.publish(dead_queue(ANALYTICS), b"\xff\xff")
    _, shown = await run("show", "--body", "--json")
    assert shown[0]["body"]["undecoded"] == "ffff"
    assert shown[0]["reason"] == "unknown"


async def test_reading_changes_neither_order_nor_number_and_the_broker_drops_nothing(
    broker: Broker, run: Run
) -> None:
    await _die(broker, 5)
    expected = [f"m{n}" for n in range(5)]
    for _ in range(9):
        assert await _ids(run) == expected
    for _ in range(16):  # by now RabbitMQ 4 would have dropped them: they are renewed instead
        assert sorted(await _ids(run)) == expected
    _, shown = await run("show", "--json")
    assert {letter["reason"] for letter in shown} == {f"refused m{n}" for n in range(5)}
    assert all(letter["timesRead"] <= 10 for letter in shown)


async def test_a_letter_of_the_broker_says_so(broker: Broker, run: Run) -> None:
    """A message that was given back too often, as one that kills its consumer is."""
    await broker.publish_many(
        [Outgoing(MESSAGE_PERSIST, b"", {REASON_HEADER: "UNAVAILABLE: earlier"}, message_id="killer")]
    )
    session = await broker.session()
    async with await session.connection.channel() as channel:
        source = await channel.get_queue(MESSAGE_PERSIST)
        async with asyncio.timeout(30):
            while not (await _ids(run)):
                if message := await source.get(fail=False):
                    await message.nack(requeue=True)
    _, shown = await run("show", "--json")
    assert shown[0]["messageId"] == "killer"
    assert shown[0]["reason"] == "by the broker: delivery_limit; before: UNAVAILABLE: earlier"
    assert shown[0]["firstFailedAt"].endswith("Z")
    assert (await run("replay", "--id", "killer"))[0] == 0
    [revived] = await _all_of(broker, MESSAGE_PERSIST)
    assert not {"x-death", REASON_HEADER} & revived.headers.keys()


async def test_replay_sends_back_what_is_chosen_as_if_never_tried(broker: Broker, run: Run) -> None:
    await _die(broker, 4)
    assert await run("replay", "--id", "m2") == (0, "replayed 1 of message-persist\n")
    assert await _ids(run) == ["m0", "m1", "m3"]
    [revived] = await _all_of(broker, MESSAGE_PERSIST)
    assert revived.message_id == "m2"
    assert ATTEMPT_HEADER not in revived.headers
    assert REASON_HEADER not in revived.headers
    assert FIRST_FAILED_HEADER in revived.headers

    _, first = await run("replay", "--limit", "1", "--queue", MESSAGE_PERSIST, "--json")
    assert first == {"replayed": {MESSAGE_PERSIST: 1}}
    assert (await run("replay", "--all"))[0] == 0
    assert [message.message_id for message in await _all_of(broker, MESSAGE_PERSIST)] == ["m0", "m1", "m3"]
    assert await run("replay", "--all") == (1, "nothing\n")


async def test_drop_gives_up_what_is_chosen(broker: Broker, run: Run) -> None:
    await _die(broker, 3)
    assert await run("drop", "--id", "m1") == (0, "dropped 1 of message-persist\n")
    assert await _ids(run) == ["m0", "m2"]
    assert (await run("drop", "--all", "--queue", MESSAGE_PERSIST))[0] == 0
    assert await _ids(run) == []
    assert await _all_of(broker, MESSAGE_PERSIST) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["replay"], "choose with --id, --limit or --all"),
        (["drop", "--all"], "--queue is required"),
        (["list", "--limit", "0"], "is not a number from 1 on"),
        ([], "required"),
    ],
)
def test_wrong_usage(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["dead-letters", *arguments])
    assert exited.value.code == 2
    assert problem in capsys.readouterr().err


def test_no_broker_and_no_such_queue_are_told(
    server: RabbitMQServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_AMQP_URL", server.url)
    assert main(["dead-letters", "list", "--queue", "nosuch"]) == 1
    assert "there is no queue nosuch.dead" in capsys.readouterr().err
    monkeypatch.setenv("PARLEY_AMQP_URL", f"amqp://127.0.0.1:{free_port()}/")
    assert main(["dead-letters", "list"]) == 1
    assert "rabbitmq" in capsys.readouterr().err
    monkeypatch.delenv("PARLEY_AMQP_URL")
    with pytest.raises(SystemExit) as exited:
        main(["dead-letters", "list"])
    assert exited.value.code == 78


def test_a_host_that_is_away_is_passed_over(
    server: RabbitMQServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{server.port}"
    monkeypatch.setenv("PARLEY_AMQP_URL", server.url.replace(f"127.0.0.1:{server.port}", hosts))
    assert main(["dead-letters", "list", "--queue", "nosuch"]) == 1
    assert "there is no queue nosuch.dead" in capsys.readouterr().err


def _environment(server: RabbitMQServer) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", "PARLEY_AMQP_URL": server.url}


async def test_a_replay_that_is_killed_loses_nothing(broker: Broker, server: RabbitMQServer) -> None:
    sent = {f"m{n}" for n in range(1000)}
    await broker.publish_many([Outgoing(dead_queue(ANALYTICS), b"", message_id=name) for name in sent])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "admin", "dead-letters", "replay", "--all", env=_environment(server), cwd=ROOT
    )
    seen = asyncio.Event()
    revived: list[str] = []

    async def handler(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        revived.extend(delivery.message_id for delivery in deliveries)
        if len(revived) > 100:
            seen.set()
        return [Ack()] * len(deliveries)

    consumer = Consumer(broker, ANALYTICS, handler)
    running = asyncio.create_task(consumer.run())
    async with asyncio.timeout(30):
        await seen.wait()
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL
    await consumer.stop()
    await running
    revived += [message.message_id or "" for message in await _all_of(broker, ANALYTICS)]
    dead: list[str] = []
    async with asyncio.timeout(30):  # what it held comes back when the broker has noticed its end
        while {*revived, *dead} != sent:
            dead += [message.message_id or "" for message in await _all_of(broker, dead_queue(ANALYTICS))]
    assert dead  # it was killed in the middle
    assert len(revived) + len(dead) - len(sent) <= 1
