"""A process that dies is reported with its last lines and started again, later and later."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from devstack.process import ManagedProcess
from devstack.supervisor import STABLE_SECONDS, Supervisor
from tests.support.polling import eventually_blocking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Ends with code 3 as long as the file it is given is missing.
MORTAL = """
import pathlib, sys, time
print("I was given", sys.argv[1], flush=True)
if not pathlib.Path(sys.argv[1]).exists():
    sys.exit("and it is missing")
time.sleep(600)
"""


class Scene:
    """A supervisor with one real process, a clock that the test turns, and what was reported."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.reports: list[str] = []
        self.cure = folder / "cure"
        self.process = ManagedProcess(
            "mortal", [sys.executable, "-c", MORTAL, str(self.cure)], log_path=folder / "mortal.log"
        )
        self.supervisor = Supervisor(self.reports.append, clock=lambda: self.now)
        self.process.start()
        self.supervisor.watch(self.process)

    def died(self) -> str:
        """Wait for the process' end and return what is reported of it."""
        assert self.process.wait(10)
        before = len(self.reports)
        self.supervisor.tick()
        return "\n".join(self.reports[before:])

    def restarted_after(self, seconds: float) -> bool:
        """Whether the restart happens then, and not a moment earlier."""
        pid = self.process.pid
        self.now += seconds - 0.01
        self.supervisor.tick()
        too_early = self.process.pid != pid
        self.now += 0.01
        self.supervisor.tick()
        return not too_early and self.process.pid != pid


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.process.kill()


def test_a_death_is_reported_with_the_last_lines_and_followed_by_a_restart(scene: Scene) -> None:
    report = scene.died()
    assert "mortal died (exit code 1)" in report
    assert str(scene.process.log_path) in report
    assert f"I was given {scene.cure}\n" in report
    assert "and it is missing" in report
    assert "starts again in 1 s" in report

    scene.cure.touch()
    assert scene.restarted_after(1)
    assert f"mortal started again, process {scene.process.pid}" in scene.reports[-1]
    eventually_blocking(lambda: "I was given" in scene.process.log_tail(), "the process runs again")
    scene.supervisor.tick()
    assert scene.process.running


def test_the_delay_doubles_up_to_half_a_minute(scene: Scene) -> None:
    for seconds in (1, 2, 4, 8, 16, 30, 30):
        assert f"starts again in {seconds} s" in scene.died()
        assert scene.restarted_after(seconds)


def test_a_death_is_reported_once(scene: Scene) -> None:
    scene.died()
    reported = len(scene.reports)
    scene.supervisor.tick()
    assert len(scene.reports) == reported


def test_a_long_life_starts_over_with_the_shortest_delay(scene: Scene) -> None:
    scene.died()
    assert scene.restarted_after(1)
    scene.died()
    scene.cure.touch()
    assert scene.restarted_after(2)
    scene.now += STABLE_SECONDS
    scene.supervisor.tick()
    scene.process.kill()
    scene.supervisor.tick()
    assert "starts again in 1 s" in scene.reports[-1]


def test_a_program_that_vanished_is_reported_and_tried_again(scene: Scene) -> None:
    scene.died()
    program = scene.process.argv
    scene.process.argv = ("/nonexistent/program",)
    scene.now += 1
    scene.supervisor.tick()
    assert "mortal cannot be started" in scene.reports[-2]
    assert "starts again in 2 s" in scene.reports[-1]
    scene.process.argv = program
    assert scene.restarted_after(2)
