"""Mutual TLS between services, and certificates that change under way."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from mesh.errors import Unavailable
from mesh.rpc.channel import open_channel
from mesh.rpc.server import RpcServer
from mesh.rpc.tls import TlsFiles, follow, service_names
from tests.integration.mesh.echo import OPEN, EchoServicer, EchoStub, add_to_server
from tests.support.authority import Authority

SECRET = SecretStr("s" * 32)


async def _same(text: str) -> str:
    return text


def directory(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


def files_of(authority: Authority, where: Path, *names: str) -> TlsFiles:
    """The three files of one service, as a Secret mounted into its pod would hold them."""
    files = TlsFiles(where / "tls.crt", where / "tls.key", where / "ca.crt")
    install(authority, files, *names)
    return files


def install(authority: Authority, files: TlsFiles, *names: str) -> None:
    issued = authority.issue(*names).read_text()
    key, _, certificate = issued.partition("-----BEGIN CERTIFICATE-----")
    files.certificate.write_text(f"-----BEGIN CERTIFICATE-----{certificate}")
    files.key.write_text(key)
    shutil.copy(authority.ca_file, files.authorities)


@asynccontextmanager
async def served(files: TlsFiles) -> AsyncIterator[str]:
    async with RpcServer("echo", SECRET, access=OPEN, tls=files) as server:
        server.add(add_to_server, EchoServicer(_same))
        yield f"dns:///localhost:{await server.start('127.0.0.1', 0, field='echo_port')}"


@asynccontextmanager
async def calling(
    target: str, files: TlsFiles | None, *, caller: str = "edge", rotation_seconds: float = 60
) -> AsyncIterator[EchoStub]:
    async with open_channel(
        target, caller=caller, callee="echo", secret=SECRET, tls=files, rotation_seconds=rotation_seconds
    ) as channel:
        yield EchoStub(channel)


async def test_services_with_certificates_of_one_authority_talk(authority: Authority, tmp_path: Path) -> None:
    server_files = files_of(authority, directory(tmp_path, "echo"), "localhost", "echo")
    edge_files = files_of(authority, directory(tmp_path, "edge"), "spiffe://cluster.local/ns/parley/sa/edge")
    async with served(server_files) as target, calling(target, edge_files) as stub:
        assert await stub.echo("x") == "x"


async def test_a_caller_without_a_certificate_is_not_served(authority: Authority, tmp_path: Path) -> None:
    server_files = files_of(authority, directory(tmp_path, "echo"), "localhost", "echo")
    async with served(server_files) as target, calling(target, None) as stub:
        with pytest.raises(Unavailable):
            await stub.echo("x")


async def test_a_certificate_of_another_authority_is_not_believed(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(directory(tmp_path, "stranger"))
    server_files = files_of(authority, directory(tmp_path, "echo"), "localhost", "echo")
    edge_files = files_of(stranger, directory(tmp_path, "edge"), "edge")
    shutil.copy(authority.ca_file, edge_files.authorities)  # it trusts the server, not the other way
    async with served(server_files) as target, calling(target, edge_files) as stub:
        with pytest.raises(Unavailable):
            await stub.echo("x")


async def test_a_service_cannot_call_in_the_name_of_another(authority: Authority, tmp_path: Path) -> None:
    """All services share the secret that signs tokens; a certificate is each service's own."""
    server_files = files_of(authority, directory(tmp_path, "echo"), "localhost", "echo")
    edge_files = files_of(authority, directory(tmp_path, "edge"), "edge.parley.svc")
    async with served(server_files) as target, calling(target, edge_files, caller="chat") as stub:
        with pytest.raises(Unavailable, match="refuses this service's token"):
            await stub.echo("x")


async def test_new_certificates_are_taken_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    server_files = files_of(authority, directory(tmp_path, "echo"), "localhost", "echo")
    edge_files = files_of(authority, directory(tmp_path, "edge"), "edge")
    async with served(server_files) as target, calling(target, edge_files, rotation_seconds=0.02) as stub:
        assert await stub.echo("before") == "before"
        # Another authority altogether: whoever still showed or trusted the old one could not connect.
        successor = Authority(directory(tmp_path, "successor"))
        install(successor, server_files, "localhost", "echo")
        install(successor, edge_files, "edge")
        async with calling(target, edge_files) as newcomer:
            assert await newcomer.echo("new") == "new"
        old_files = files_of(authority, directory(tmp_path, "old"), "edge")
        async with calling(target, old_files) as latecomer:
            with pytest.raises(Unavailable):
                await latecomer.echo("old")
        assert await stub.echo("after") == "after"


def test_half_written_files_are_left_for_later(authority: Authority, tmp_path: Path) -> None:
    files = files_of(authority, directory(tmp_path, "edge"), "edge")
    rotation = follow(files, files.read())
    assert rotation.changed() is None
    whole = files.key.read_text()
    files.key.write_text(whole[: len(whole) // 2])
    assert rotation.changed() is None
    install(authority, files, "edge")
    changed = rotation.changed()
    assert changed == files.read()
    assert rotation.changed() is None


def test_a_key_of_another_certificate_is_told(authority: Authority, tmp_path: Path) -> None:
    files = files_of(authority, directory(tmp_path, "edge"), "edge")
    other = files_of(authority, directory(tmp_path, "other"), "edge")
    with pytest.raises(ValueError, match=r"tls\.key"):
        TlsFiles(files.certificate, other.key, files.authorities).read()
    with pytest.raises(ValueError, match="No such file"):
        TlsFiles(files.certificate, files.key, tmp_path / "nothing").read()


@pytest.mark.parametrize(
    ("name", "service"),
    [
        (b"edge", "edge"),
        (b"edge.parley.svc.cluster.local", "edge"),
        (b"chat-headless.parley.svc", "chat"),
        (b"spiffe://cluster.local/ns/parley/sa/persist", "persist"),
    ],
)
def test_names_in_certificates_stand_for_services(name: bytes, service: str) -> None:
    assert service_names([name]) == {service}
