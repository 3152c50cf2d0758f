"""Processes end for certain: when asked, when they refuse, and when their launcher is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.paths import ROOT
from devstack.process import ManagedProcess, describe_exit
from devstack.reaper import end_session, session_members
from tests.support.polling import eventually_blocking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Launch = Callable[..., ManagedProcess]

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True: time.sleep(60)
"""

# Starts a child in a process group of its own, as the Erlang VM does, and waits with it.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
print("child", child.pid, flush=True)
time.sleep(600)
"""

LAUNCHER = """
import pathlib, sys, time
from devstack.process import ManagedProcess
process = ManagedProcess("parent", [sys.executable, "-c", sys.argv[2]], log_path=pathlib.Path(sys.argv[1]))
process.start()
print(process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Makes processes that run a piece of Python, and ends them after the test."""
    made: list[ManagedProcess] = []

    def make(code: str, stop_seconds: float = 10.0) -> ManagedProcess:
        log_path = tmp_path / f"{len(made)}.log"
        argv = [sys.executable, "-c", code]
        made.append(ManagedProcess("sample", argv, log_path=log_path, stop_seconds=stop_seconds))
        return made[-1]

    yield make
    for process in made:
        process.kill()


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_process_that_ignores_sigterm_is_killed_after_its_time(launch: Launch) -> None:
    process = launch(STUBBORN, stop_seconds=0.3)
    process.start()
    eventually_blocking(lambda: "deaf" in process.log_tail(), "the process says that it is deaf")
    started = time.monotonic()

    process.stop()

    assert time.monotonic() - started >= 0.3
    assert process.exit_code == -signal.SIGKILL


@pytest.mark.parametrize("end", [ManagedProcess.stop, ManagedProcess.kill], ids=["stop", "kill"])
def test_grandchildren_in_other_groups_end_too(launch: Launch, end: Callable[[ManagedProcess], None]) -> None:
    process = launch(PARENT)
    process.start()
    eventually_blocking(lambda: "child" in process.log_tail(), "the grandchild runs")
    child = int(process.log_tail().split()[1])
    assert set(process.members()) == {process.pid, child}

    end(process)

    assert process.members() == []
    eventually_blocking(lambda: not exists(child), "the grandchild is gone")


def test_the_log_tail_is_of_the_last_life(launch: Launch) -> None:
    process = launch("import os; print('life of', os.getpid()); print('second line')")
    for _ in range(2):
        process.start()
        assert process.wait(60)
        assert process.log_tail() == f"life of {process.pid}\nsecond line"
    assert process.log_tail(1) == "second line"
    assert len(process.log_path.read_text(encoding="utf-8").splitlines()) == 4


def test_starting_a_running_process_is_refused(launch: Launch) -> None:
    process = launch("import time; time.sleep(600)")
    process.start()
    with pytest.raises(RuntimeError, match="runs already"):
        process.start()


def test_a_killed_launcher_leaves_nothing_behind(tmp_path: Path) -> None:
    log = tmp_path / "parent.log"
    argv = [sys.executable, "-c", LAUNCHER, str(log), PARENT]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT, text=True) as launcher:
        assert launcher.stdout is not None
        parent = int(launcher.stdout.readline())
        eventually_blocking(lambda: "child" in log.read_text(encoding="utf-8"), "the grandchild runs")
        child = int(log.read_text(encoding="utf-8").split()[1])

        launcher.kill()

        eventually_blocking(lambda: not exists(parent) and not exists(child), "child and grandchild are gone")


def test_a_session_that_ignores_sigterm_is_killed_after_the_grace_time(launch: Launch) -> None:
    process = launch(STUBBORN)
    process.start()
    eventually_blocking(lambda: "deaf" in process.log_tail(), "the process says that it is deaf")
    assert process.pid is not None

    end_session(process.pid, grace_seconds=0.2)

    assert session_members(process.pid) == []
    assert process.exit_code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit code 0"),
        (78, "exit code 78"),
        (-9, "signal SIGKILL"),
        (-200, "signal 200"),
        (None, "still running"),
    ],
)
def test_an_exit_code_in_words(code: int | None, words: str) -> None:
    assert describe_exit(code) == words
