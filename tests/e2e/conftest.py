"""One mesh for all end-to-end tests; each test uses users and chats of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Protocol

import pytest

from devstack.ports import free_port
from edge.protocol.codec import JSON
from tests.e2e.mesh import Client, Mesh, Rest, Service

IDLE_SECONDS = 4.0
"""Short, so that a test can see somebody become idle; long enough for others to be done with who is not."""


@pytest.fixture(scope="session")
def traces_port() -> int:
    """Where a test may put a collector. Usually there is none, which nobody must notice."""
    return free_port()


@pytest.fixture(scope="session")
def running_mesh(tmp_path_factory: pytest.TempPathFactory, traces_port: int) -> Iterator[Mesh]:
    with ExitStack() as stack:
        mesh = Mesh.start(
            tmp_path_factory.mktemp("mesh"),
            stack,
            PARLEY_LOG_LEVEL="DEBUG",  # so that `test_secrets` sees the most that is ever logged
            PARLEY_NOTIFY_ALLOW_LOOPBACK="true",
            PARLEY_NOTIFY_IDLE_SECONDS=f"{IDLE_SECONDS:g}",
            PARLEY_TRACES_ENDPOINT=f"http://127.0.0.1:{traces_port}",
            PARLEY_TRACES_SAMPLE="0",  # only what a test asks for
        )
        asyncio.run(mesh.ready())
        yield mesh


@pytest.fixture
async def mesh(running_mesh: Mesh) -> Mesh:
    await running_mesh.ready()
    return running_mesh


class Connect(Protocol):
    """Opens a connection of a user to an edge."""

    def __call__(self, user_id: str, edge: Service, subprotocol: str = ..., /) -> Awaitable[Client]: ...


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def open_client(user_id: str, edge: Service, subprotocol: str = JSON.subprotocol, /) -> Client:
            return await Client.open(edge, user_id, stack, subprotocol)

        yield open_client


@pytest.fixture
async def rest(mesh: Mesh) -> AsyncIterator[Callable[[str], Rest]]:
    async with AsyncExitStack() as stack:

        def open_rest(user_id: str) -> Rest:
            client = Rest(mesh.edges[0], user_id)
            stack.push_async_callback(client.close)
            return client

        yield open_rest
