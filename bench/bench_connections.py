"""What an idle connection costs: memory of the edge, CPU to open it, and CPU for heartbeats.

The edge runs as it is deployed; the readers are another process. Memory is what the edge holds more after the
connections were opened, once all of them were welcomed. Each user is in a number of chats of as many members.

    python bench/bench_connections.py [--sockets 2000] [--chats 20] [--seconds 30]
"""

import argparse
import asyncio
from pathlib import Path

from bench.bench_fanout import Readers, edge, process
from devstack.servers import RedisServer
from tests.integration.edge.scaffold import SECRET, scaffold_chat


async def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--sockets", type=int, default=2_000)
    parser.add_argument("--chats", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    script = str(Path(__file__).with_name("readers.py"))
    pipe = asyncio.subprocess.PIPE
    with RedisServer() as redis_server:
        async with scaffold_chat(redis_server.url) as (scaffold, chat_port):
            for user in range(options.sockets):
                for offset in range(options.chats):
                    scaffold.members[f"{(user + offset) % options.sockets:024x}"].add(f"user{user}")
            async with edge(redis_server.url, chat_port) as server:
                empty, cpu = server.rss_mb(), server.cpu_seconds()
                arguments = (*server.url.split(), str(options.sockets), SECRET, str(options.sockets))
                async with process(script, *arguments, env={}, stdin=pipe, stdout=pipe) as child:
                    readers = Readers(child)
                    assert await readers.ask("open") == options.sockets
                    opened, full = server.cpu_seconds(), server.rss_mb()
                    await asyncio.sleep(options.seconds)
                    idle = server.cpu_seconds()
    print(
        f"{options.sockets} connections with {options.chats} chats: {empty:.0f} MB before, {full:.0f} after"
    )
    print(f"  memory of one          {(full - empty) * 1000 / options.sockets:8.1f} kB")
    print(f"  CPU to open one        {(opened - cpu) / options.sockets * 1e6:8.0f} µs")
    print(f"  CPU of 1,000 in a second {(idle - opened) / options.seconds / options.sockets * 1e6:6.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
