"""What an acked, durable send costs: CPU microseconds of each process, and of a confirm that is not batched.

The whole mesh runs as processes on private servers. Pairs of users talk in chats of their own, each sender
with eight messages under way, so that batches form as they do under load. A send counts once it is acked.
The baseline is one process that publishes to a quorum queue of the same RabbitMQ and awaits each confirm by
itself: what durability alone costs without batches, before membership, order, dedupe and delivery.

    python bench/bench_send_path.py [--pairs 50] [--messages 20000]
"""

import argparse
import asyncio
import json
import tempfile
import time
import uuid
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import httpx
from websockets.asyncio.client import ClientConnection, connect

from chaos.links import straight
from chaos.mesh import ROOT, Mesh, Service, token

_WINDOW = 8
_BASELINE_MESSAGES = 2_000
_NO_LIMITS = {
    "PARLEY_CHAT_SEND_RATE": "1000000",
    "PARLEY_CHAT_SEND_BURST": "1000000",
    "PARLEY_EDGE_FRAMES_PER_SECOND": "1000000",
    "PARLEY_EDGE_FRAMES_BURST": "1000000",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of the processes by name, and the seconds it took."""

    cpu: dict[str, float]
    seconds: float


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def measured(mesh: Mesh) -> dict[str, int]:
    """The processes on the way of a message, as far as the ack."""
    services = {"edge": mesh.edges[0], "chat_service": mesh.chat}
    pids = {name: service.process.pid or 0 for name, service in services.items()}
    return {**pids, "redis": mesh.redis.pid or 0}


async def make_chat(edge: Service, sender: str, receiver: str) -> str:
    """The direct chat of a pair."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{edge.port}", timeout=10) as http:
        answer = await http.post(
            "/api/v1/chats",
            json={"userId": receiver},
            headers={"Authorization": f"Bearer {token(sender)}"},
        )
        chat_id: str = answer.raise_for_status().json()["chat"]["id"]
        return chat_id


async def open_socket(edge: Service, user_id: str, stack: AsyncExitStack) -> ClientConnection:
    """A connection that has been welcomed."""
    headers = {"Authorization": f"Bearer {token(user_id)}"}
    socket = await stack.enter_async_context(
        connect(f"ws://127.0.0.1:{edge.port}/ws", additional_headers=headers, max_queue=None)
    )
    await socket.recv()
    return socket


async def send_all(socket: ClientConnection, chat_id: str, count: int) -> None:
    """Sends ``count`` messages with a window of them under way; returns when all are acked."""
    sent = acked = 0
    while acked < count:
        while sent < count and sent - acked < _WINDOW:
            data = {
                "chatId": chat_id,
                "content": "hello there how are you doing today",
                "clientMsgId": uuid.uuid4().hex,
            }
            await socket.send(json.dumps({"event": "send-message", "id": sent, "data": data}))
            sent += 1
        frame = json.loads(await socket.recv())
        assert frame["event"] != "error", frame
        acked += frame["event"] == "ack"


async def drain(socket: ClientConnection, count: int) -> None:
    """Receives ``count`` messages."""
    while count:
        count -= json.loads(await socket.recv())["event"] == "new-message"


async def send_path(mesh: Mesh, pairs: int, messages: int) -> Cost:
    """The cost of ``messages`` acked sends, each delivered to both sides."""
    edge = mesh.edges[0]
    async with AsyncExitStack() as stack:
        conversations: list[tuple[ClientConnection, ClientConnection, str]] = []
        for number in range(pairs):
            sender, receiver = f"sender-{number}", f"receiver-{number}"
            chat_id = await make_chat(edge, sender, receiver)
            conversations.append(
                (await open_socket(edge, sender, stack), await open_socket(edge, receiver, stack), chat_id)
            )
        each = messages // pairs
        before = {name: cpu_seconds(pid) for name, pid in measured(mesh).items()}
        started = time.perf_counter()
        await asyncio.gather(
            *(send_all(sender, chat_id, each) for sender, _, chat_id in conversations),
            *(drain(receiver, each) for _, receiver, _ in conversations),
        )
        seconds = time.perf_counter() - started
        after = {name: cpu_seconds(pid) for name, pid in measured(mesh).items()}
    return Cost({name: after[name] - before[name] for name in after}, seconds)


async def confirm_one_by_one(url: str) -> float:
    """CPU seconds of this process for one confirmed publish."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        queue = await channel.declare_queue("baseline", durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"x" * 200, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        started = time.process_time()
        for _ in range(_BASELINE_MESSAGES):
            await channel.default_exchange.publish(message, queue.name)
        spent = time.process_time() - started
        await queue.delete(if_unused=False, if_empty=False)
    return spent / _BASELINE_MESSAGES


async def measure(mesh: Mesh, pairs: int, messages: int) -> None:
    """Runs both and prints the figures."""
    await mesh.ready()
    baseline = await confirm_one_by_one(mesh.rabbitmq.url)
    cost = await send_path(mesh, pairs, messages)
    sends = messages // pairs * pairs
    print(f"{sends} durable sends, acked and delivered to both sides, {sends / cost.seconds:.0f} a second")
    print(f"{'CPU µs per send':<34}{'':>8}   ratio to a lone confirm")
    for name, seconds in {**cost.cpu, "all of these": sum(cost.cpu.values())}.items():
        print(f"  {name:<32}{seconds / sends * 1e6:>8.1f}{seconds / sends / baseline:>10.2f}")
    print(f"  {'a lone confirm, publisher only':<32}{baseline * 1e6:>8.1f}{1:>10.2f}")


def main() -> None:
    """Starts the mesh, measures, ends it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--messages", type=int, default=20_000)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-bench-")))
        mesh = Mesh.start(folder, stack, code=ROOT, route=straight, **_NO_LIMITS)
        asyncio.run(measure(mesh, options.pairs, options.messages))


if __name__ == "__main__":
    main()
