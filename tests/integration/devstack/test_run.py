"""`make run` with the real services, on free ports and with data of its own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from devstack.paths import ROOT
from devstack.ports import free_port
from devstack.settings import BACKINGS, SERVICES
from tests.support.polling import eventually_blocking

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Passed on to every process of a run, so that the test finds all of them.
MARK = "DEVSTACK_TEST_RUN"

pytestmark = pytest.mark.timeout(180)


class Run:
    """One `python -m devstack run` with its output in a file."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        ports = [setting for s in SERVICES for setting in (s.port, s.admin_port)]
        ports += [backing.port for backing in BACKINGS]
        own = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        own[MARK] = str(folder)
        self.env = (
            own | {port.variable: "0" for port in ports} | {"PARLEY_DEVSTACK_DIR": str(folder)} | variables
        )
        self._output = folder / f"output-{time.monotonic_ns()}"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "devstack", "run"],
                cwd=ROOT,
                env=self.env,
                stdout=output,
                stderr=output,
            )

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def wait_until_running(self) -> None:
        eventually_blocking(
            lambda: "Parley is running." in self.output or self.process.poll() is not None,
            "a start",
            seconds=90,
        )
        assert self.process.poll() is None, self.output

    def command(self, name: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "devstack", name]
        return subprocess.run(argv, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)

    def descendants(self) -> list[int]:
        """Live processes that inherited this run's environment."""
        mark = f"{MARK}={self.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Iterator[Run]:
    run = Run(folder)
    yield run
    run.process.send_signal(signal.SIGTERM)
    run.process.wait(60)


def address(output: str, label: str) -> str:
    return next(line.split()[1] for line in output.splitlines() if line.split()[:1] == [label])


def test_a_run_serves_restarts_what_dies_and_ends_without_a_trace(folder: Path) -> None:
    run = Run(folder, PARLEY_CHAT_CONTENT_LIMITS="5")
    try:
        _serves_restarts_and_ends(run)
    finally:
        run.process.terminate()
        run.process.wait(60)


def _serves_restarts_and_ends(run: Run) -> None:
    run.wait_until_running()
    output = run.output
    assert "PARLEY_CHAT_CONTENT_LIMITS is read by nobody; is PARLEY_CHAT_CONTENT_LIMIT meant?" in output
    logs = {service.name: (run.folder / "logs" / f"{service.name}.log").read_text() for service in SERVICES}
    assert [name for name, log in logs.items() if "settings.unknown_variable" in log] == ["chat"]
    assert [name for name, log in logs.items() if "dependency.down" in log] == []
    assert address(output, "WebSocket").startswith("ws://127.0.0.1:")
    assert output.count("gRPC ") == 3

    bearer = {"Authorization": f"Bearer {address(output, 'alice')}"}
    response = httpx.get(address(output, "REST") + "/chats", headers=bearer, timeout=10)
    assert (response.status_code, response.json()) == (200, {"chats": [], "nextCursor": None})

    line = next(line for line in output.splitlines() if "parley_client send" in line)
    sent = subprocess.run(shlex.split(line), cwd=ROOT, capture_output=True, text=True, check=False)
    assert sent.returncode == 0, sent.stderr
    chats = httpx.get(address(output, "REST") + "/chats", headers=bearer, timeout=10).json()["chats"]
    assert [chat["latestMessage"]["text"] for chat in chats] == ["Hello, Bob"]

    _a_page_of_this_origin_may_connect(output)

    line = next(line for line in output.splitlines() if "admin check" in line)
    checked = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr

    assert "it runs already" in run.command("run").stderr

    edge = next(
        pid for pid in run.descendants() if b"\0-m\0edge\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(edge, signal.SIGKILL)
    eventually_blocking(lambda: "run: edge started again" in run.output, "the edge is back")
    assert "run: edge died (signal SIGKILL); the end of" in run.output

    stopped = run.command("stop")
    assert (stopped.returncode, run.process.wait(60)) == (0, 0)
    order = [
        line.removeprefix("run: stopping ") for line in run.output.splitlines() if "run: stopping" in line
    ]
    assert order == ["edge", "chat", "notify", "persist", "redis, rabbitmq, mongo"]
    assert run.descendants() == []


def _a_page_of_this_origin_may_connect(output: str) -> None:
    """What README.md has one do in a browser's console."""
    url = address(output, "WebSocket")
    origin = url.replace("ws://", "http://").removesuffix("/ws")
    assert httpx.get(f"{origin}/api/v1/dev/console", timeout=10).status_code == 200
    protocols = [Subprotocol("parley.v1.json"), Subprotocol(f"bearer.{address(output, 'alice')}")]
    with connect(url, origin=Origin(origin), subprotocols=protocols, open_timeout=30) as socket:
        assert json.loads(socket.recv(30))["event"] == "welcome"


def test_bad_settings_of_a_service_are_shown(folder: Path) -> None:
    run = Run(folder, PARLEY_LOG_LEVEL="LOUD", PARLEY_SERVICE_SECRET="short")
    assert run.process.wait(60) == 78
    assert "PARLEY_LOG_LEVEL" in run.output
    assert "PARLEY_SERVICE_SECRET" in run.output
    assert "starting" not in run.output
    assert run.descendants() == []


def test_a_url_that_is_none_or_leads_nowhere_is_told_before_anything_starts(folder: Path) -> None:
    nobody = free_port()
    for url, problem, code in (
        ("localhost:6379", "must start with redis://", 78),
        (f"redis://127.0.0.1:{nobody}/0", f"PARLEY_REDIS_URL: 127.0.0.1:{nobody}: Connection refused", 1),
    ):
        run = Run(folder, PARLEY_REDIS_URL=url)
        assert run.process.wait(60) == code, run.output
        assert "PARLEY_REDIS_URL" in run.output
        assert problem in run.output
        assert "starting" not in run.output
        assert run.descendants() == []


def test_a_killed_run_leaves_nothing_and_can_be_waited_for(run: Run) -> None:
    run.wait_until_running()
    run.process.kill()
    run.process.wait(60)
    assert run.command("stop").returncode == 0
    assert run.descendants() == []
