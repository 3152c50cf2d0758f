"""An edge that listens on ``::`` serves clients of IPv4 and of IPv6 alike."""

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.integration.edge.conftest import StartEdge, token


@pytest.mark.parametrize("loopback", ["127.0.0.1", "[::1]"])
async def test_every_port_of_an_edge_serves_both_families(start_edge: StartEdge, loopback: str) -> None:
    edge = await start_edge(bind_host="::")
    async with httpx.AsyncClient(trust_env=False) as client:
        for port in (edge.port, edge.admin_port):
            assert (await client.get(f"http://{loopback}:{port}/healthz")).status_code == 200
    headers = {"Authorization": f"Bearer {token('ada')}"}
    async with connect(f"ws://{loopback}:{edge.port}/ws", additional_headers=headers, proxy=None) as socket:
        assert '"welcome"' in str(await socket.recv())
