"""The Python client and its command line against the whole mesh."""

import asyncio
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from parley_client.backoff import Backoff
from parley_client.client import ParleyClient
from parley_client.events import NewMessage
from tests.e2e.mesh import ROOT, Mesh, Service, token

Run = Callable[..., Awaitable[Process]]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Starts a command of the client; ends it with the test."""
    async with AsyncExitStack() as stack:

        async def start(edge: Service, command: str, user: str, *arguments: str) -> Process:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "parley_client", command, "--as", user),
                *("--url", f"http://127.0.0.1:{edge.port}", *arguments),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env={"PYTHONPATH": str(ROOT / "clients" / "python")},
            )
            stack.push_async_callback(_end, process)
            return process

        yield start


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def line_with(process: Process, text: str) -> str:
    """The next line that contains something."""
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while line := (await process.stdout.readline()).decode():
            if text in line:
                return line.rstrip("\n")
    raise AssertionError(f"it ended without saying {text!r}")


async def type_in(process: Process, text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{text}\n".encode())
    await process.stdin.drain()


def new_user(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def test_send_prints_the_ack_and_the_message_is_stored(mesh: Mesh, run: Run) -> None:
    alice, bob = new_user("alice"), new_user("bob")
    process = await run(mesh.edges[0], "send", alice, "--to", bob, "hello")
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert "✓ sent (seq 1)" in out.decode()

    listening = await run(mesh.edges[1], "chat", bob, "--to", alice)
    assert (await line_with(listening, alice)).endswith(f"{alice}: hello")


async def test_two_terminals_on_two_edges(mesh: Mesh, run: Run) -> None:
    alice, bob = new_user("alice"), new_user("bob")
    left = await run(mesh.edges[0], "chat", alice, "--to", bob)
    await type_in(left, "are you there?")
    await line_with(left, "✓ sent")

    right = await run(mesh.edges[1], "chat", bob, "--to", alice)
    await line_with(right, "are you there?")
    assert await line_with(left, "read by") == f"* read by {bob} ✓✓"
    await type_in(right, "yes\x1b[2J")
    await line_with(right, "✓ sent")
    assert (await line_with(left, f"{bob}:")).endswith(f"{bob}: yes·[2J")

    for process in (left, right):
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_listen_shows_a_chat_that_did_not_exist(mesh: Mesh, run: Run) -> None:
    alice, bob = new_user("alice"), new_user("bob")
    async with connected(mesh.edges[1], alice) as client:
        bobs = await run(mesh.edges[0], "listen", bob)
        await line_with(bobs, "connected")
        chat = await client.direct_chat(bob)
        await client.send_message(chat.id, "a surprise")
        assert (await line_with(bobs, "surprise")).startswith(f"[{chat.id}]")


async def test_what_was_said_while_the_edge_was_dead_arrives_once_and_in_order(mesh: Mesh) -> None:
    alice, bob = new_user("alice"), new_user("bob")
    async with connected(mesh.edges[0], alice) as left, connected(mesh.edges[1], bob) as right:
        chat = await left.direct_chat(bob)
        await left.join([chat.id])
        await right.send_message(chat.id, "0")
        mesh.edges[0].process.kill()
        for number in range(1, 61):
            await right.send_message(chat.id, str(number), timeout_seconds=60)
        waiting = asyncio.create_task(left.send_message(chat.id, "sent while it was dead"))
        await mesh.edges[0].restart()
        await waiting
        seen: list[str] = []
        async with asyncio.timeout(30):
            async for event in left.events():
                if isinstance(event, NewMessage):
                    seen.append(event.message.content)
                    if event.message.sender_id == alice:
                        break
    assert seen == [*(str(number) for number in range(61)), "sent while it was dead"]


@asynccontextmanager
async def connected(edge: Service, user: str) -> AsyncIterator[ParleyClient]:
    url = f"http://127.0.0.1:{edge.port}"
    async with ParleyClient(url, token(user), backoff=Backoff(base=0.05, cap=0.5)) as client:
        yield client
