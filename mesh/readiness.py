"""Which dependencies answer, and therefore whether this process should be sent work."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mesh.logs import get_logger
from mesh.metrics import DEPENDENCY_UP
from mesh.settings import variable_name

_log = get_logger()

Check = Callable[[], Awaitable[None]]
"""Returns when the dependency answered; raises when it did not. Bounded by the registry's timeout."""


@dataclass(slots=True)
class _Dependency:
    check: Check
    required: bool
    variable: str | None
    """Where it is set."""
    problem: str | None = "not checked yet"
    told_up: bool | None = None
    """What the log says of it; None before its first word."""


class Readiness:
    """Polls the dependencies of one process and tells of changes, once each.

    Not ready before the first round of checks, while a required dependency is down, and while draining. All
    parts of a system start together: what does not answer yet is reported as down after ``grace_seconds``.
    """

    def __init__(
        self, *, interval_seconds: float = 1.0, timeout_seconds: float = 2.0, grace_seconds: float = 5.0
    ) -> None:
        self._interval = interval_seconds
        self._timeout = timeout_seconds
        self._grace = grace_seconds
        self._began: float | None = None
        self._dependencies: dict[str, _Dependency] = {}
        self._listeners: list[Callable[[bool], Awaitable[None]]] = []
        self._draining = False
        self._notified: bool | None = None
        self._changed = asyncio.Event()

    def add(self, name: str, check: Check, *, required: bool = True, field: str | None = None) -> None:
        """Adds a dependency. One that is not required is shown and logged but does not make us unready.

        ``field`` is the settings field that says where it is: its variable is named when it is down.
        """
        self._dependencies[name] = _Dependency(check, required, variable_name(field) if field else None)
        DEPENDENCY_UP.labels(name).set(0)

    def on_change(self, listener: Callable[[bool], Awaitable[None]]) -> None:
        """Calls ``listener`` with the new state after each change of readiness, and after the first round."""
        self._listeners.append(listener)

    @property
    def ready(self) -> bool:
        """Whether this process can do its work now."""
        return not self._draining and not any(
            dependency.problem for dependency in self._dependencies.values() if dependency.required
        )

    def report(self) -> dict[str, str]:
        """Each dependency with ``up`` or what is wrong with it, and which variable says where it is."""
        return {name: _in_words(dependency) for name, dependency in self._dependencies.items()}

    def is_up(self, name: str) -> bool:
        """Whether the dependency answered its last check."""
        return self._dependencies[name].problem is None

    async def start_drain(self) -> None:
        """Not ready from now on; use it as the first phase of a drain."""
        self._draining = True
        await self._notify()

    async def wait_ready(self) -> None:
        """Returns once the process is ready."""
        while not self.ready:
            self._changed.clear()
            await self._changed.wait()

    async def run(self) -> None:
        """Polls until cancelled."""
        while True:
            await self.poll()
            await asyncio.sleep(self._interval)

    async def poll(self) -> None:
        """One round: all checks at the same time."""
        if self._began is None:
            self._began = asyncio.get_running_loop().time()
        await asyncio.gather(*(self._poll_one(*item) for item in self._dependencies.items()))
        await self._notify()

    async def _poll_one(self, name: str, dependency: _Dependency) -> None:
        problem: str | None = None
        try:
            async with asyncio.timeout(self._timeout):
                await dependency.check()
        except TimeoutError:
            problem = f"no answer in {self._timeout:g} s"
        except Exception as error:  # noqa: BLE001 - a check may fail in any way; each way means "down"
            problem = f"{type(error).__name__}: {error}"
        dependency.problem = problem
        DEPENDENCY_UP.labels(name).set(problem is None)
        self._log_change(name, dependency)

    def _log_change(self, name: str, dependency: _Dependency) -> None:
        up = dependency.problem is None
        if dependency.told_up is up or (dependency.told_up is None and not up and self._in_grace):
            return
        dependency.told_up = up
        if up:
            _log.info("dependency.up", dependency=name)
        else:
            where = {"variable": dependency.variable} if dependency.variable else {}
            _log.warning("dependency.down", dependency=name, error=dependency.problem, **where)

    @property
    def _in_grace(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._began is not None and now - self._began < self._grace

    async def _notify(self) -> None:
        if self._notified is not self.ready:
            self._notified = self.ready
            for listener in self._listeners:
                await listener(self._notified)
        self._changed.set()


def _in_words(dependency: _Dependency) -> str:
    if dependency.problem is None:
        return "up"
    return f"{dependency.problem} ({dependency.variable})" if dependency.variable else dependency.problem
