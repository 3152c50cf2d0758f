"""A consumer process killed in the middle of a batch."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from uuid import uuid4

import aio_pika
import pytest
from pydantic import SecretStr

from mesh.amqp.connection import Broker
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import Topology

ROOT = Path(__file__).parents[3]
PREFETCH = 64  # of consumer_service


async def _start(url: str, queue: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.mesh.consumer_service", url, queue),
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"},
        cwd=ROOT,
        stdout=PIPE,
    )


async def _read(process: Process, handled: list[str], count: int) -> None:
    assert process.stdout is not None
    for _ in range(count):
        line = await process.stdout.readline()
        if not line:
            return
        handled.append(line.decode().strip())


@pytest.mark.timeout(120)
async def test_killing_a_consumer_loses_nothing_and_repeats_no_more_than_it_held(amqp_url: str) -> None:
    """Three kill -9 while 2,000 messages are handled; counts handled, repeated, left over."""
    queue = f"work-{uuid4().hex[:8]}"
    sent = [f"m{number}" for number in range(2_000)]
    handled: list[str] = []
    async with Broker(
        SecretStr(amqp_url), name="test", topology=Topology((queue,), (), delivery_limit=20)
    ) as broker:
        await broker.session()
        for start in range(0, len(sent), 100):
            part = sent[start : start + 100]
            await broker.publish_many([Outgoing(queue, b"", message_id=name) for name in part])
        kills = 3
        for _ in range(kills):
            process = await _start(amqp_url, queue)
            async with asyncio.timeout(30):
                await _read(process, handled, 405)
            process.send_signal(signal.SIGKILL)
            await _read(process, handled, len(sent))
            assert await process.wait() == -signal.SIGKILL
        process = await _start(amqp_url, queue)
        async with asyncio.timeout(60):
            while len(set(handled)) < len(sent):
                await _read(process, handled, 1)
            await _until_empty(amqp_url, queue)
        process.kill()
        await _read(process, handled, len(sent))
        await process.wait()
    assert set(handled) == set(sent)
    repeated = len(handled) - len(sent)
    print(f"{kills} kills, {len(sent)} sent, {repeated} handled twice, none lost")  # noqa: T201 - the figure
    assert 0 < repeated <= kills * PREFETCH


async def _until_empty(url: str, queue: str) -> None:
    """Returns once no message waits."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        while (await channel.declare_queue(queue, passive=True)).declaration_result.message_count:
            await asyncio.sleep(0.02)
