"""Secrets and what people say stay out of logs, even at level DEBUG, and out of the list of processes."""

import asyncio
import contextlib
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect as dial
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from devstack.ports import free_port
from devstack.process import ManagedProcess
from tests.e2e.mesh import JWT_SECRET, ROOT, SERVICE_SECRET, Client, Mesh, Rest, Service, token
from tests.support.polling import eventually

Connect = Callable[[str, Service], Awaitable[Client]]
SERVICES = {"edge": "edge", "chat": "chat_service", "persist": "persist_service", "notify": "notify_service"}
PASSWORD = "a-password-" + secrets.token_hex(8)


def log_of(service: Service) -> str:
    return service.process.log_path.read_text()


def command_line(process: ManagedProcess) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_text()


def assert_kept(where: str, *kept: str) -> None:
    """None of these is there, nor a part of it that one could go on with."""
    for secret in kept:
        assert secret not in where
        assert secret[-24:] not in where


@contextlib.contextmanager
def alone(name: str, folder: Path, **settings: str) -> Iterator[ManagedProcess]:
    """A service whose backing servers are all away, and whose addresses hold passwords."""
    area, nowhere = f"PARLEY_{name.upper()}", f"127.0.0.1:{free_port()}"
    env = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
        "PARLEY_LOG_LEVEL": "DEBUG",
        "PARLEY_SERVICE_SECRET": SERVICE_SECRET,
        "PARLEY_REDIS_URL": f"redis://user:{PASSWORD}@{nowhere}/0",
        "PARLEY_AMQP_URL": f"amqp://user:{PASSWORD}@{nowhere}/",
        "PARLEY_MONGO_URL": f"mongodb://user:{PASSWORD}@{nowhere}/?serverSelectionTimeoutMS=500",
        "PARLEY_DRAIN_SECONDS": "1",
        f"{area}_PORT": "0",
        f"{area}_ADMIN_PORT": "0",
        **settings,
    }
    process = ManagedProcess(
        name, [sys.executable, "-m", SERVICES[name]], log_path=folder / f"{name}.log", env=env, cwd=ROOT
    )
    process.start()
    try:
        yield process
    finally:
        process.stop()


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_that_reaches_nothing_tells_no_password(name: str, tmp_path: Path) -> None:
    jwks = {"PARLEY_JWT_JWKS_URL": f"http://user:{PASSWORD}@127.0.0.1:{free_port()}/keys?key={PASSWORD}"}
    with alone(name, tmp_path, **(jwks if name == "edge" else {})) as process:
        await eventually(
            lambda: "dependency.down" in process.log_path.read_text() or not process.running,
            "no failure yet",
            seconds=45,  # what is away when a service starts is told after its first seconds
        )
        assert process.running, process.log_tail()
        assert "python" in command_line(process)
        assert_kept(command_line(process), PASSWORD, SERVICE_SECRET)
    assert_kept(process.log_path.read_text(), PASSWORD, SERVICE_SECRET)


async def test_settings_that_are_wrong_are_told_without_their_values(tmp_path: Path) -> None:
    wrong = {
        "PARLEY_SERVICE_SECRET": "short-secret",
        "PARLEY_JWT_SECRET": "another-short-one",
        "PARLEY_REDIS_URL": f"http://user:{PASSWORD}@redis",
    }
    with alone("edge", tmp_path, **wrong) as process:
        await eventually(lambda: not process.running, "it runs with wrong settings")
    told = process.log_path.read_text()
    assert all(name in told for name in wrong)
    assert_kept(told, PASSWORD, "short-secret", "another-short-one")


@pytest.fixture
async def talked(mesh: Mesh, connect: Connect) -> list[str]:
    """What was said and shown on the way, good and bad; none of it may be in any log."""
    said = "the content of a message " + secrets.token_hex(12)
    good, forged = token("mallory"), token("alice-secrets") + "x"
    old = token("alice-secrets", exp=int(time.time()) - 600)
    alice = await connect("alice-secrets", mesh.edges[0])
    bob = await connect("bob-secrets", mesh.edges[1])
    chat = (await alice.rest.post("/chats", {"userId": "bob-secrets"}))["chat"]["id"]
    await bob.wait_for("chat-created")
    await alice.say(chat, said)
    await bob.wait_for("new-message", content=said)
    for refused in (good, forged, old):
        assert (await alice.ask("refresh-token", {"token": refused}))["event"] == "error"
    await alice.socket.send(f'{{"event":"send-message","data":{{"content":"{said}"')
    await alice.ask("send-message", {"chatId": chat, "content": said, "clientMsgId": "not allowed\n"})
    door = f"ws://127.0.0.1:{mesh.edges[0].port}/ws"
    hidden = Subprotocol(f"bearer.{forged}")
    for options in ({"additional_headers": {"Authorization": f"Bearer {old}"}}, {"subprotocols": [hidden]}):
        with pytest.raises(InvalidStatus):
            await dial(door, **options)
    for url, names in ((f"{door}?token={forged}", None), (door, [Subprotocol("parley.v1.json"), hidden])):
        async with dial(url, subprotocols=names) as refused_socket:
            await refused_socket.wait_closed()
            assert refused_socket.close_code == 4401
    rest = Rest(mesh.edges[0], "alice-secrets")
    device = {"kind": "fcm", "address": f"registration-token-{secrets.token_hex(20)}"}
    await rest.call("POST", "/devices", device)
    await rest.call("GET", f"/unsubscribe?token={forged}")
    await rest.call("POST", f"/unsubscribe?token={forged}")
    await rest.close()
    async with httpx.AsyncClient() as http:
        await http.post(f"http://127.0.0.1:{mesh.edges[0].port}/api/v1/chats", content=said)
    return [said, good, forged, old, device["address"]]


async def test_the_mesh_keeps_what_it_was_told(mesh: Mesh, talked: list[str]) -> None:
    stored = mesh.database()["messages"]
    await eventually(lambda: stored.find_one({"content": talked[0]}), "the message is not stored")
    assert '"level": "debug"' in log_of(mesh.edges[0]), "the most that is ever logged"
    for service in mesh.services:
        assert_kept(log_of(service), SERVICE_SECRET, JWT_SECRET, *talked)
        assert_kept(command_line(service.process), SERVICE_SECRET, JWT_SECRET)


async def test_an_outage_is_told_without_what_was_under_way(mesh: Mesh, connect: Connect) -> None:
    said = "said while chat_service was away " + secrets.token_hex(12)
    alice = await connect("alice-outage", mesh.edges[0])
    chat = (await alice.rest.post("/chats", {"userId": "bob-outage"}))["chat"]["id"]
    mesh.chat.process.kill()
    try:
        reply = await alice.ask("send-message", {"chatId": chat, "content": said, "clientMsgId": "k"})
        assert reply["event"] == "error"
    finally:
        await mesh.chat.restart()
    await asyncio.gather(*(edge.ready() for edge in mesh.edges))
    for service in mesh.services:
        assert_kept(log_of(service), said)
