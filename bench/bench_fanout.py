"""What a delivery costs: CPU microseconds of the edge, and of plain Tornado, in one run on one machine.

Both servers are processes of their own, get the same messages from one Redis, and hand each to 500 sockets of
one room. The readers are another process. Plain Tornado is what its documentation shows: `write_message`
for each client. A delivery counts when its bytes have arrived.

    python bench/bench_fanout.py [--sockets 500] [--messages 400] [--rate 40] [--burst 8]
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from devstack.servers import RedisServer
from edge.pubsub.channels import chat_channel
from tests.integration.edge.scaffold import SECRET, SERVICE_SECRET, ScaffoldChat, scaffold_chat

_ROOT = Path(__file__).parent.parent
_CHAT = "a" * 24
_TEXT = "hello there how are you doing today"
_USERS = 500  # more members than get delivery receipts, as in any room of this size


@dataclass(frozen=True, slots=True)
class Load:
    """`messages` messages, in groups of `burst` published at once, `rate` messages a second."""

    name: str
    messages: int
    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class Server:
    """A process that is measured."""

    name: str
    pid: int
    url: str

    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far, in nanosecond steps (`/proc/PID/task/*/schedstat`)."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def rss_mb(self) -> float:
        """Memory in MB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Readers:
    """The reader process: opens the sockets, counts messages."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, question: str) -> int:
        """Asks for one number."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{question}\n".encode())
        return int(await asyncio.wait_for(self._process.stdout.readline(), 60))


@asynccontextmanager
async def process(
    *args: str,
    env: dict[str, str],
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child that is gone afterwards."""
    paths = os.pathsep.join((str(_ROOT), str(_ROOT / "gen")))
    env = {**os.environ, "PYTHONPATH": paths, **env}
    child = await asyncio.create_subprocess_exec(
        sys.executable, *args, env=env, cwd=_ROOT, stdin=stdin, stdout=stdout, stderr=stderr
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


@asynccontextmanager
async def edge(redis_url: str, chat_port: int) -> AsyncIterator[Server]:
    """The edge as it is deployed."""
    env = {
        "PARLEY_SERVICE_SECRET": SERVICE_SECRET,
        "PARLEY_JWT_SECRET": SECRET,
        "PARLEY_REDIS_URL": redis_url,
        "PARLEY_CHAT_TARGET": f"127.0.0.1:{chat_port}",
        "PARLEY_EDGE_PORT": "0",
        "PARLEY_EDGE_ADMIN_PORT": "0",
        "PARLEY_DRAIN_SECONDS": "5",
    }
    async with process("-m", "edge", env=env, stderr=asyncio.subprocess.PIPE) as child:
        assert child.stderr is not None
        ports: dict[str, int] = {}
        async for line in child.stderr:
            event = json.loads(line)
            if event["event"] == "service.started":
                ports = event["ports"]
                break
        drain = asyncio.create_task(child.stderr.read())
        yield Server("edge", child.pid, f"127.0.0.1 {ports['http']} edge")
        child.terminate()
        await drain


@asynccontextmanager
async def plain_tornado(redis_url: str) -> AsyncIterator[Server]:
    """The baseline."""
    script = str(Path(__file__).with_name("plain_tornado.py"))
    async with process(
        script, redis_url, chat_channel(_CHAT).decode(), env={}, stdout=asyncio.subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        port = int(await asyncio.wait_for(child.stdout.readline(), 20))
        yield Server("plain Tornado", child.pid, f"127.0.0.1 {port} plain")


async def publish(redis: Redis, scaffold: ScaffoldChat, load: Load) -> None:
    """Publishes on schedule; the bytes are made beforehand."""
    payloads = [
        scaffold.next_message(_CHAT, "nobody", _TEXT).SerializeToString() for _ in range(load.messages)
    ]
    started = time.monotonic()
    for first in range(0, load.messages, load.burst):
        await asyncio.sleep(max(0.0, started + first / load.rate - time.monotonic()))
        pipe = redis.pipeline(transaction=False)
        for payload in payloads[first : first + load.burst]:
            pipe.publish(chat_channel(_CHAT), payload)
        await pipe.execute()


async def arrivals(readers: Readers, expected: int) -> int:
    """Waits until that many messages have arrived, or nothing came for 10 s; gives the count.

    An overloaded server may take long, and each byte of what it holds back counts as its work.
    """
    count, progress = await readers.ask("count"), time.monotonic()
    while count < expected and time.monotonic() - progress < 10:
        await asyncio.sleep(0.02)
        before, count = count, await readers.ask("count")
        if count > before:
            progress = time.monotonic()
    return count


async def measure(
    server: Server, sockets: int, loads: list[Load], redis: Redis, scaffold: ScaffoldChat
) -> list[float]:
    """CPU microseconds per delivery of each load."""
    script = str(Path(__file__).with_name("readers.py"))
    pipe = asyncio.subprocess.PIPE
    results: list[float] = []
    async with process(
        script, *server.url.split(), str(sockets), SECRET, str(_USERS), env={}, stdin=pipe, stdout=pipe
    ) as child:
        readers = Readers(child)
        assert await readers.ask("open") == sockets
        idle = await readers.ask("count")
        for load in loads:
            before, cpu = idle, server.cpu_seconds()
            await publish(redis, scaffold, load)
            expected = before + load.messages * sockets
            idle = await arrivals(readers, expected)
            assert idle == expected, f"{server.name}: {idle - before} of {expected - before} arrived"
            results.append((server.cpu_seconds() - cpu) / (idle - before) * 1e6)
        print(f"  {server.name}: {sockets} sockets, {server.rss_mb():.0f} MB")
    return results


async def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--messages", type=int, default=400)
    parser.add_argument("--rate", type=float, default=40)
    parser.add_argument("--burst", type=int, default=8)
    options = parser.parse_args()
    loads = [
        Load("one at a time", options.messages, options.rate, 1),
        Load(f"{options.burst} at a time", options.messages * 2, options.rate * options.burst, options.burst),
    ]
    with RedisServer() as redis_server:
        async with scaffold_chat(redis_server.url) as (scaffold, chat_port):
            scaffold.members[_CHAT].update(f"user{number}" for number in range(_USERS))
            async with edge(redis_server.url, chat_port) as server:
                ours = await measure(server, options.sockets, loads, scaffold.redis, scaffold)
            async with plain_tornado(redis_server.url) as server:
                theirs = await measure(server, options.sockets, loads, scaffold.redis, scaffold)
    print("CPU µs per delivery        edge   plain Tornado   ratio")
    for load, our, their in zip(loads, ours, theirs, strict=True):
        print(f"  {load.name:<20} {our:>8.2f} {their:>15.2f} {their / our:>7.1f}")


if __name__ == "__main__":
    asyncio.run(main())
