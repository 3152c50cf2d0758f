"""Makes the faults of a schedule happen to a running mesh."""

import asyncio
import shutil
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from chaos import full_disk, records, wrong_clock
from chaos.links import Links
from chaos.mesh import Mesh
from chaos.proxy import Conditions, Proxy
from chaos.records import Journal
from chaos.schedule import Fault, Kind
from devstack.process import ManagedProcess
from devstack.servers import BackingServer, RedisServer


class Injector:
    """Carries faults out and writes down when each began and when its cause was gone."""

    def __init__(self, mesh: Mesh, links: Links, journal: Journal, tell: Callable[[str], None]) -> None:
        self._servers: Mapping[str, BackingServer] = {
            server.name: server for server in (mesh.redis, mesh.rabbitmq, mesh.mongo)
        }
        self._processes = {service.process.name: service.process for service in mesh.services}
        self._links = links
        self._journal = journal
        self._tell = tell
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def follow(self, schedule: Sequence[Fault]) -> None:
        """All faults, each at its time; returns when the last has ended."""
        began = self._journal.now
        async with asyncio.TaskGroup() as group:
            for fault in schedule:
                await asyncio.sleep(began + fault.at - self._journal.now)
                group.create_task(self.inject(fault), name=str(fault))

    async def inject(self, fault: Fault) -> None:
        """One fault that lasts for its seconds; raises as `happening`."""
        async with self.happening(fault):
            await asyncio.sleep(fault.seconds)

    @asynccontextmanager
    async def happening(self, fault: Fault) -> AsyncIterator[None]:
        """One fault, once the one before on its target has ended: entered when its cause is in place.

        Raises:
            DevstackError: a backing server did not come back.
        """
        async with self._turns[fault.target]:
            self._journal.write(
                records.FaultBegan(
                    at=self._journal.now,
                    number=fault.number,
                    fault=fault.kind,
                    target=fault.target,
                    text=str(fault),
                )
            )
            self._tell(f"{self._journal.now:7.2f} s  #{fault.number} {fault}")
            async with self._cause(fault):
                yield
            self._journal.write(records.FaultEnded(at=self._journal.now, number=fault.number))

    @asynccontextmanager
    async def _cause(self, fault: Fault) -> AsyncIterator[None]:
        """Entered while it lasts. What was broken is repaired in any case, so that all can be stopped."""
        link = self._links.by_name.get(fault.target)
        if link is not None:
            _spoil(link, fault)
        else:
            await asyncio.to_thread(self._break, fault)
        try:
            yield
        finally:
            if link is not None:
                await link.restore()
            else:
                await asyncio.to_thread(self._repair, fault)

    def _break(self, fault: Fault) -> None:
        server = self._servers.get(fault.target)
        process = self._process(fault.target)
        match fault.kind:
            case Kind.PAUSE:
                process.send_signal(signal.SIGSTOP)
            case Kind.KILL:
                (server or process).kill()
            case Kind.LOSE if isinstance(server, RedisServer):
                server.kill()
                shutil.rmtree(server.data_dir / "appendonlydir")
            case Kind.FILL if server is not None:
                full_disk.fill(server)
            case Kind.SKEW if server is None:
                process.kill()
                wrong_clock.start(process, fault.amount)
            case _:
                raise ValueError(f"{fault.kind} is nothing that happens to {fault.target}")

    def _repair(self, fault: Fault) -> None:
        server, process = self._servers.get(fault.target), self._process(fault.target)
        match fault.kind:
            case Kind.PAUSE:
                process.send_signal(signal.SIGCONT)
            case Kind.FILL if server is not None:
                full_disk.make_room(server)
            case Kind.SKEW:
                wrong_clock.end(process)
                process.start()
            case _:
                with full_disk.surviving():
                    (server or process).start()

    def _process(self, target: str) -> ManagedProcess:
        server = self._servers.get(target)
        return self._processes[target] if server is None else server.processes[-1]


def _spoil(link: Proxy, fault: Fault) -> None:
    match fault.kind:
        case Kind.CUT:
            link.cut()
        case Kind.RESET:
            link.reset()
        case Kind.REFUSE:
            link.refuse()
        case Kind.BLACKHOLE:
            link.blackhole()
        case Kind.DELAY:
            link.conditions = Conditions(delay_ms=fault.amount, jitter_ms=fault.amount / 2)
        case Kind.THROTTLE:
            link.conditions = Conditions(bytes_per_second=fault.amount)
        case _:
            raise ValueError(f"{fault.kind} is nothing that happens to a link")
