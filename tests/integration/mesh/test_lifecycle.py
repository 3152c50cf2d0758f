import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).with_name("lifecycle_service.py")


@asynccontextmanager
async def _process(mode: str, **settings: str) -> AsyncIterator[Process]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    env |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", "PARLEY_SERVICE_SECRET": "s" * 32, **settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), mode, env=env, stdout=PIPE, stderr=PIPE, cwd=ROOT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _event(process: Process, name: str) -> dict[str, Any]:
    """The next log event of that name."""
    assert process.stderr is not None
    async with asyncio.timeout(30):
        async for line in process.stderr:
            event: dict[str, Any] = json.loads(line)
            if event["event"] == name:
                return event
    raise AssertionError(f"no {name} before the end")


async def _finish(process: Process) -> tuple[list[str], list[dict[str, Any]], int]:
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return out.decode().splitlines(), [json.loads(line) for line in err.splitlines()], process.returncode


async def test_sigterm_drains_in_order_and_exits_with_zero() -> None:
    async with _process("run") as process:
        started = await _event(process, "service.started")
        assert started["service"] == "lifecycle"
        assert started["time"].endswith("Z")
        assert started["ports"]["admin"] > 0
        process.send_signal(signal.SIGTERM)
        phases, events, code = await _finish(process)
    assert code == 0
    assert [phase for phase in phases if not phase.startswith("flaky")] == [
        "open one",
        "open two",
        "drain last registered",
        "drain first registered",
        "close two",
        "worker cancelled",
        "close one",
    ]
    failed = next(event for event in events if event["event"] == "service.drain_failed")
    assert failed["phase"] == "failing"
    assert events[-1]["event"] == "service.stopped"


async def test_a_supervised_task_is_restarted_until_it_succeeds() -> None:
    async with _process("run") as process:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while await process.stdout.readline() != b"flaky run 3\n":
                continue
        process.send_signal(signal.SIGINT)
        _, events, code = await _finish(process)
    failures = [event for event in events if event["event"] == "task.failed"]
    assert [event["task"] for event in failures] == ["flaky", "flaky"]
    assert code == 0


async def test_a_second_signal_ends_it_at_once() -> None:
    async with _process("hang", PARLEY_DRAIN_SECONDS="60") as process:
        await _event(process, "service.started")
        process.send_signal(signal.SIGTERM)
        await _event(process, "service.draining")
        process.send_signal(signal.SIGTERM)
        _, _, code = await _finish(process)
    assert code == 128 + signal.SIGTERM


async def test_a_drain_that_hangs_ends_at_the_deadline() -> None:
    async with _process("hang", PARLEY_DRAIN_SECONDS="0.5") as process:
        await _event(process, "service.started")
        process.send_signal(signal.SIGTERM)
        phases, events, code = await _finish(process)
    assert code == 0
    assert [event["phase"] for event in events if event["event"] == "service.drain_overran"] == ["hanging"]
    # The phases after it run, and what was opened is closed all the same.
    assert "drain first registered" in phases
    assert phases[-1] == "close one"


async def test_a_service_that_cannot_start_says_why_and_closes_what_it_opened() -> None:
    async with _process("fail") as process:
        phases, events, code = await _finish(process)
    assert code == 1
    assert phases == ["open one", "close one"]
    failed = next(event for event in events if event["event"] == "service.start_failed")
    assert "cannot start" in json.dumps(failed)


async def test_a_busy_port_is_named_with_the_variable_that_changes_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with _process("run", PARLEY_TEST_ADMIN_PORT=str(port)) as process:
            _, events, code = await _finish(process)
    assert code == 78
    failed = next(event for event in events if event["event"] == "service.bind_failed")
    assert (failed["port"], failed["variable"]) == (port, "PARLEY_TEST_ADMIN_PORT")


async def test_bad_settings_end_it_with_78_before_anything_starts() -> None:
    async with _process("run", PARLEY_SERVICE_SECRET="short", PARLEY_TEST_ADMIN_PORT="x") as process:
        async with asyncio.timeout(30):
            out, err = await process.communicate()
    assert process.returncode == 78
    assert out == b""
    assert b"PARLEY_SERVICE_SECRET: " in err
    assert b"PARLEY_TEST_ADMIN_PORT: " in err


async def test_a_misspelt_variable_is_told() -> None:
    async with _process("run", PARLEY_DRAIN_SECOND="3") as process:
        told = await _event(process, "settings.unknown_variable")
    assert (told["variable"], told["did_you_mean"]) == ("PARLEY_DRAIN_SECOND", "PARLEY_DRAIN_SECONDS")


async def test_the_admin_port_answers() -> None:
    async with _process("run") as process:
        port = (await _event(process, "service.started"))["ports"]["admin"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/healthz")).json() == {"status": "alive"}
            assert (await client.get("/readyz")).json() == {"ready": True, "dependencies": {}}
            metrics = await client.get("/metrics")
            assert "parley_task_restarts_total" in metrics.text
            assert (await client.get("/else")).status_code == 404
