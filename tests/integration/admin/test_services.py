"""As whom the command calls services under mutual TLS."""

import shutil
from pathlib import Path

import pytest
from pydantic import SecretStr

from admin.services import open_service
from mesh.rpc.handlers import current_caller
from mesh.rpc.server import RpcServer
from mesh.rpc.tls import TlsFiles
from mesh.settings import MeshSettings
from tests.integration.mesh.echo import OPEN, EchoServicer, EchoStub, add_to_server
from tests.support.authority import Authority

SECRET = SecretStr("s" * 32)


def files_of(authority: Authority, folder: Path, *names: str) -> TlsFiles:
    """The three files of who has these names."""
    folder.mkdir()
    files = TlsFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
    issued = authority.issue(*names, addresses=()).read_text()
    files.key.write_text(issued)
    files.certificate.write_text(issued)
    shutil.copy(authority.ca_file, files.authorities)
    return files


async def _caller(_text: str) -> str:
    return current_caller()


@pytest.mark.parametrize(
    ("names", "caller"),
    [
        (("admin",), "admin"),
        (("chat", "chat-headless", "chat-headless.parley.svc"), "chat"),
        (("spiffe://cluster.local/ns/parley/sa/edge",), "edge"),
        (("edge", "admin.parley.svc"), "admin"),
    ],
)
async def test_it_is_who_its_certificate_names(
    authority: Authority, tmp_path: Path, names: tuple[str, ...], caller: str
) -> None:
    here, there = files_of(authority, tmp_path / "here", *names), tmp_path / "there"
    settings = MeshSettings(
        service_secret=SECRET,
        tls_cert_file=here.certificate,
        tls_key_file=here.key,
        tls_ca_file=here.authorities,
    )
    async with RpcServer(
        "echo", SECRET, access=OPEN, tls=files_of(authority, there, "localhost", "echo")
    ) as server:
        server.add(add_to_server, EchoServicer(_caller))
        port = await server.start("127.0.0.1", 0, field="echo_port")
        async with open_service("echo", f"dns:///localhost:{port}", settings) as channel:
            assert await EchoStub(channel).echo("x") == caller
