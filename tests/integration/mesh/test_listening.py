"""Who sets ``PARLEY_BIND_HOST=::`` is reached by IPv4 and by IPv6, whatever the port speaks."""

import socket
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from mesh.admin import open_admin
from mesh.lifecycle import BindError
from mesh.listening import listen
from mesh.readiness import Readiness
from mesh.rpc.channel import open_channel
from mesh.rpc.server import RpcServer
from tests.integration.mesh.echo import OPEN, EchoServicer, EchoStub, add_to_server

SECRET = SecretStr("s" * 32)
EVERY_ADDRESS = ("::", "0:0:0:0:0:0:0:0")
LOOPBACKS = ("127.0.0.1", "[::1]")


async def _same(text: str) -> str:
    return text


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is taken for IPv4 alone."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield held.getsockname()[1]


@pytest.mark.parametrize("host", EVERY_ADDRESS)
@pytest.mark.parametrize("loopback", LOOPBACKS)
async def test_the_admin_port_serves_both_families(host: str, loopback: str) -> None:
    async with (
        open_admin(host, 0, Readiness(), field="admin_port") as port,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        assert (await client.get(f"http://{loopback}:{port}/healthz")).status_code == 200


@pytest.mark.parametrize("host", EVERY_ADDRESS)
@pytest.mark.parametrize("loopback", LOOPBACKS)
async def test_grpc_serves_both_families(host: str, loopback: str) -> None:
    async with RpcServer("echo", SECRET, access=OPEN) as server:
        server.add(add_to_server, EchoServicer(_same))
        port = await server.start(host, 0, field="echo_port")
        target = f"{'ipv6' if '[' in loopback else 'ipv4'}:{loopback}:{port}"
        async with open_channel(target, caller="t", callee="echo", secret=SECRET) as channel:
            assert await EchoStub(channel).echo("hello") == "hello"


async def test_one_family_stays_one_family() -> None:
    async with open_admin("127.0.0.1", 0, Readiness(), field="admin_port") as port:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("::1", port), timeout=5)


# Tornado leaves the socket that it could not bind to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_port_that_one_family_has_not_free_is_an_error(taken: int) -> None:
    with pytest.raises(BindError, match=rf"\[::\]:{taken}; set PARLEY_ADMIN_PORT"):
        listen("::", taken, field="admin_port")


def test_ipv4_clients_keep_their_address() -> None:
    """Trusted proxies and limits by address compare it."""
    for listening in listen("::", 0, field="edge_port"):
        with listening:
            if listening.family is socket.AF_INET:
                listening.setblocking(True)
                with socket.create_connection(("127.0.0.1", listening.getsockname()[1]), timeout=5):
                    accepted, address = listening.accept()
                    accepted.close()
                assert address[0] == "127.0.0.1"
