"""Engines killed in the middle of attempts: what is lost, and what is sent twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.notify_service.delivery.deliveries import new_deliveries, settled, store_at
from tests.integration.notify_service.delivery.engine_process import SLOTS

ROOT = Path(__file__).parents[4]


async def start(url: str, database: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.notify_service.delivery.engine_process", url, database),
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"},
        cwd=ROOT,
        stdout=PIPE,
    )


async def read(process: Process, taken: Counter[str], count: int) -> None:
    assert process.stdout is not None
    for _ in range(count):
        line = await process.stdout.readline()
        if not line:
            return
        taken[line.decode().strip()] += 1


@pytest.mark.timeout(120)
async def test_killing_engines_loses_nothing_and_repeats_only_what_was_under_way(mongo_url: str) -> None:
    """Two kill -9 while 120 deliveries are made; counts taken and repeated."""
    new, taken, kills = new_deliveries(120), Counter[str](), 2
    async with store_at(mongo_url) as (store, mongo):
        database = mongo.collection("deliveries").database.name
        await store.add(new)
        for _ in range(kills):
            process = await start(mongo_url, database)
            await read(process, taken, 30)
            process.send_signal(signal.SIGKILL)
            await read(process, taken, len(new))
            assert await process.wait() == -signal.SIGKILL
        process = await start(mongo_url, database)
        reading = asyncio.create_task(read(process, taken, 2 * len(new)))
        await settled(mongo, len(new))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await reading
    assert taken.keys() == {each.key for each in new}
    repeated = {key: count - 1 for key, count in taken.items() if count > 1}
    # What had ended, and was not recorded yet, counts as under way.
    assert sum(repeated.values()) <= kills * 2 * SLOTS
    assert max(taken.values()) <= 1 + kills, "one duplicate per crash at most"
