"""A server to talk to, and a client of it that loses no time between attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from parley_client.backoff import Backoff
from parley_client.client import ParleyClient
from tests.unit.clients.server import small_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.clients.server import SmallServer


@pytest.fixture
async def server() -> AsyncIterator[SmallServer]:
    async with small_server() as started:
        yield started


@pytest.fixture
async def client(server: SmallServer) -> AsyncIterator[ParleyClient]:
    async with ParleyClient(server.url, "token", backoff=Backoff(base=0.01, cap=0.05)) as connected:
        yield connected
