"""The edge behind Nginx, by the configuration that docs/operations.md shows."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.typing import Origin

from devstack.ports import free_port
from devstack.programs import find_nginx
from mesh.http.server import _Connection
from mesh.seldom import Seldom
from tests.integration.edge.conftest import PATIENCE, Edge, running_edge, token
from tests.integration.edge.scaffold import scaffold_chat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT: Final = Path(__file__).parents[2]
REQUESTS: Final = 200
WORKERS: Final = 12


def _documented() -> str:
    page = (ROOT / "docs" / "operations.md").read_text()
    return page.partition("```nginx\n")[2].partition("```")[0]


@asynccontextmanager
async def nginx(folder: Path, servers: str) -> AsyncIterator[None]:
    """Runs Nginx with these parts of its `http` block while entered."""
    program = find_nginx()
    assert program is not None, "no nginx; `make test-extras` installs it"
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {folder / 'pid'}; error_log {folder / 'error.log'};"
        f"events {{}} http {{ access_log off; {temporary} {servers} }}"
    )
    process = await asyncio.create_subprocess_exec(
        program, "-p", str(folder), "-c", str(config), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _answers(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with socket.socket() as probe:
                probe.setblocking(False)
                try:
                    await asyncio.get_running_loop().sock_connect(probe, ("127.0.0.1", port))
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    return


class Proxied:
    """An edge, and the ports of two proxies: one as documented, one by `proxy_pass` alone."""

    def __init__(self, edge: Edge, port: int, plain_port: int) -> None:
        self.edge = edge
        self.port = port
        self.plain_port = plain_port


@pytest.fixture
async def proxied(redis_db: str, tmp_path: Path) -> AsyncIterator[Proxied]:
    port, plain_port = free_port(), free_port()
    async with AsyncExitStack() as stack:
        chat, chat_port = await stack.enter_async_context(scaffold_chat(redis_db))
        edge = await stack.enter_async_context(
            running_edge(redis_db, chat, chat_port, env="development", edge_trusted_proxies="127.0.0.0/8")
        )
        documented = _documented().replace("127.0.0.1:8080", f"127.0.0.1:{edge.port}")
        documented = documented.replace(
            "server {\n    location", f"server {{\n    listen {port};\n    location"
        )
        assert f"listen {port};" in documented
        plain = (
            f"server {{ listen {plain_port}; location / {{ proxy_pass http://127.0.0.1:{edge.port};"
            "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
            'proxy_set_header Connection "upgrade"; } }'
        )
        await stack.enter_async_context(nginx(tmp_path, documented + plain))
        await _answers(port)
        await _answers(plain_port)
        yield Proxied(edge, port, plain_port)


async def test_refusals_of_some_cost_others_nothing(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All users share the connections between the proxy and the edge: what ends one ends it for another."""
    opened: list[object] = []
    serve = _Connection.serve

    async def counted(connection: _Connection) -> None:
        opened.append(connection)
        await serve(connection)

    monkeypatch.setattr(_Connection, "serve", counted)
    refused: list[int] = []
    served: list[int] = []
    over = asyncio.Event()

    async def be_refused(client: httpx.AsyncClient) -> None:
        while not over.is_set():
            for method, path, size in (
                ("POST", "/api/v1/groups", 20_000),
                ("GET", "/api/v1/chats", 0),
                ("PUT", "/api/v1/chats", 10),
                ("POST", "/nothing", 100),
                ("POST", "/api/v1/groups", 150_000),
            ):
                refused.append((await client.request(method, path, content=b"x" * size)).status_code)

    async def be_served(client: httpx.AsyncClient) -> None:
        while len(served) < REQUESTS:
            answer = await client.post("/api/v1/dev/token", json={"userId": "alice", "name": "A" * 100})
            served.append(answer.status_code)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxied.port}", timeout=PATIENCE) as client:
        refusing = [asyncio.create_task(be_refused(client)) for _ in range(WORKERS // 3)]
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS - len(refusing)):
                group.create_task(be_served(client))
        over.set()
        await asyncio.gather(*refusing)
    assert set(served) == {200}
    assert set(refused) == {401, 404, 405}
    assert len(refused) > 50
    assert len(opened) <= WORKERS, "a refusal leaves the connection to the next request"


async def test_a_page_connects_through_the_proxy(proxied: Proxied) -> None:
    url = f"ws://127.0.0.1:{proxied.port}/ws"
    origin = Origin(f"http://127.0.0.1:{proxied.port}")
    async with connect(f"{url}?token={token('alice')}", origin=origin, compression=None) as page:
        assert '"welcome"' in str(await page.recv())


async def test_a_proxy_that_passes_nothing_on_is_named_as_the_cause(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.handshake._origin_refused", Seldom(0))
    url = f"ws://127.0.0.1:{proxied.plain_port}/ws"
    origin = Origin("https://chat.example.com")
    with capture_logs() as logs:
        async with connect(f"{url}?token={token('alice')}", origin=origin) as page:
            await page.wait_closed()
    assert page.close_code == 4403
    assert (page.close_reason or "").endswith("nor is it Host, which a proxy must pass on")
    (told,) = [log for log in logs if log["event"] == "handshake.origin_refused"]
    assert "pass Host on" in told["hint"]
