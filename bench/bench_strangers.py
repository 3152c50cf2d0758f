"""What asking about other people's chats costs: CPU, Redis keys, subscriptions, and what others notice.

The whole mesh runs as processes on private servers. First one user sends ``join-chats`` and ``resume`` frames
with made-up ids, one by one, then ``join-chats`` from 19 connections at once while a bystander talks.

    python bench/bench_strangers.py [--frames 10] [--ids 1000]
"""

import argparse
import asyncio
import json
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bench.bench_send_path import cpu_seconds, make_chat, open_socket
from chaos.links import straight
from chaos.mesh import ROOT, Mesh
from mesh.ids import new_object_id

_CONNECTIONS = 19
_CROWD_SECONDS = 5.0
_PAUSE_SECONDS = 0.05
_DISTINCT = 200  # frames, sent in turn
_SMALL = 1_000  # bytes; an answer about each id is larger


def strangers(event: str, count: int) -> dict[str, Any]:
    """The data of a frame about chats that nobody has."""
    ids = [uuid.uuid4().hex[:24] for _ in range(count)]
    return (
        {"chatIds": ids} if event == "join-chats" else {"chats": [{"chatId": item, "seq": 0} for item in ids]}
    )


async def ask(socket: ClientConnection, event: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one frame."""
    frame_id = new_object_id()
    await socket.send(json.dumps({"event": event, "id": frame_id, "data": data}))
    while True:
        frame: dict[str, Any] = json.loads(await socket.recv())
        if frame.get("id") == frame_id:
            return frame


def codes(answer: Mapping[str, Any]) -> Counter[str]:
    """How often each error was answered."""
    data = answer["data"]
    if answer["event"] == "error":
        return Counter((data["code"],))
    return Counter(item["error"]["code"] for item in data["errors"])


async def alone(mesh: Mesh, redis: Redis, event: str, frames: int, count: int) -> None:
    """The cost of each frame of one connection that sends nothing else."""
    async with AsyncExitStack() as stack:
        socket = await open_socket(mesh.edges[0], f"mallory-{event}", stack)
        pids = {"chat_service": mesh.chat, "edge": mesh.edges[0], "persist_service": mesh.persist}
        for number in range(frames):
            keys, channels = await redis.dbsize(), len(await redis.pubsub_channels())
            before = {name: cpu_seconds(item.process.pid or 0) for name, item in pids.items()}
            answer = await ask(socket, event, strangers(event, count))
            spent = {name: cpu_seconds(item.process.pid or 0) - before[name] for name, item in pids.items()}
            left = await redis.dbsize() - keys, len(await redis.pubsub_channels()) - channels
            cpu = ", ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in spent.items())
            print(f"  {event} {number + 1}: {cpu}; {left[0]} keys, {left[1]} channels; {dict(codes(answer))}")


async def crowd(mesh: Mesh, count: int) -> None:
    """What a bystander notices of one user who asks on 19 connections for 5 s."""
    edge = mesh.edges[0]
    async with AsyncExitStack() as stack:
        chat_id = await make_chat(edge, "alice", "bob")
        alice = await open_socket(edge, "alice", stack)
        hostile = [await open_socket(edge, "eve", stack) for _ in range(_CONNECTIONS)]
        asked: Counter[str] = Counter()
        closed: Counter[int | None] = Counter()
        # Made beforehand and not parsed: this process must not be what the bystander waits for.
        frames = [
            json.dumps({"event": "join-chats", "id": number, "data": strangers("join-chats", count)})
            for number in range(_DISTINCT)
        ]

        ends = time.perf_counter() + _CROWD_SECONDS

        async def attack(socket: ClientConnection, place: int) -> None:
            with suppress(ConnectionClosed):
                while time.perf_counter() < ends:
                    place += 1
                    await socket.send(frames[place % _DISTINCT])
                    answer = await socket.recv()
                    asked["refused as a whole" if len(answer) < _SMALL else "looked at"] += 1
            closed[socket.close_code] += 1

        async def talk() -> tuple[list[float], Counter[str]]:
            took: list[float] = []
            results: Counter[str] = Counter()
            while time.perf_counter() < ends:
                data = {"chatId": chat_id, "content": "hello", "clientMsgId": uuid.uuid4().hex}
                started = time.perf_counter()
                answer = await ask(alice, "send-message", data)
                took.append(time.perf_counter() - started)
                results[answer["event"] if answer["event"] == "ack" else answer["data"]["code"]] += 1
                await asyncio.sleep(_PAUSE_SECONDS)
            return took, results

        async with asyncio.TaskGroup() as group:
            for number, socket in enumerate(hostile):
                group.create_task(attack(socket, number * _DISTINCT // _CONNECTIONS))
            took, results = await talk()
    took.sort()
    print(f"  {_CONNECTIONS} connections, {_CROWD_SECONDS:g} s: {dict(asked)}; close codes {dict(closed)}")
    print(
        f"  a bystander's {len(took)} sends: {dict(results)}, median {took[len(took) // 2] * 1e3:.0f} ms, "
        f"slowest {took[-1] * 1e3:.0f} ms"
    )


async def measure(mesh: Mesh, frames: int, count: int) -> None:
    """Runs both and prints the figures."""
    await mesh.ready()
    print(f"frames of {count} made-up ids")
    async with Redis.from_url(mesh.redis.url) as redis:
        for event in ("join-chats", "resume"):
            await alone(mesh, redis, event, frames, count)
    await crowd(mesh, count)


def main() -> None:
    """Starts the mesh, measures, ends it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--ids", type=int, default=1_000)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-bench-")))
        mesh = Mesh.start(folder, stack, code=ROOT, route=straight)
        asyncio.run(measure(mesh, options.frames, options.ids))


if __name__ == "__main__":
    main()
