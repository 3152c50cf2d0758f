"""The operator's command beside a running mesh."""

import asyncio
import json
import os
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId

from admin.__main__ import main
from admin.archive import Archive
from tests.e2e.conftest import Connect
from tests.e2e.mesh import JWT_SECRET, SERVICE_SECRET, Mesh
from tests.support.polling import eventually


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Admin = Callable[..., Awaitable[Answer]]


@pytest.fixture
def admin(mesh: Mesh, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Admin:
    for name in [name for name in os.environ if name.startswith("PARLEY_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "SERVICE_SECRET": SERVICE_SECRET,
        "JWT_SECRET": JWT_SECRET,
        "REDIS_URL": mesh.redis.url,
        "AMQP_URL": mesh.rabbitmq.url,
        "MONGO_URL": mesh.mongo.url,
        "CHAT_TARGET": f"dns:///127.0.0.1:{mesh.chat.port}",
        "PERSIST_TARGET": f"dns:///127.0.0.1:{mesh.persist.port}",
        "NOTIFY_TARGET": f"dns:///127.0.0.1:{mesh.notify.port}",
    }.items():
        monkeypatch.setenv(f"PARLEY_{name}", value)

    async def run(*arguments: str) -> Answer:
        capsys.readouterr()
        try:
            code = await asyncio.to_thread(main, arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        told = capsys.readouterr()
        return Answer(code, told.out, told.err)

    return run


@pytest.fixture
def user() -> str:
    return f"ann-{uuid.uuid4().hex[:8]}"


async def test_check_asks_everything_that_the_settings_name(admin: Admin) -> None:
    assert (await admin("migrate")).code == 0
    told = await admin("check", "--json")
    assert told.code == 0, told.out
    reached = {row["what"]: row for row in told.document["reached"]}
    assert reached.keys() == {"redis", "rabbitmq", "mongodb", "chat", "persist", "notify"}
    assert all(row["state"] == "ok" for row in reached.values())
    assert "guest" not in told.out


async def test_check_tells_what_is_away_and_whose_secret_differs(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await admin("migrate")).code == 0
    monkeypatch.setenv("PARLEY_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    monkeypatch.setenv("PARLEY_SERVICE_SECRET", "another secret of the same length")
    told = await admin("check", "--timeout", "3")
    assert told.code == 1
    states = {line.split()[0]: line for line in told.out.splitlines()[1:]}
    assert "FAILED" in states["redis"]
    assert "127.0.0.1:1/0" in states["redis"]
    for service in ("chat", "persist", "notify"):
        assert "check clocks, secrets and certificates" in states[service]
    assert " ok " in states["mongodb"]
    assert "hunter2" not in told.out + told.err


async def test_check_tells_why_mongodb_is_away(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_MONGO_URL", "mongodb://parley:hunter2@127.0.0.1:1/")
    told = await admin("check", "notify", "--timeout", "3")
    assert told.code == 1
    (line,) = (line for line in told.out.splitlines() if line.startswith("mongodb"))
    assert "refused" in line  # and not only that there was no answer in time
    assert "hunter2" not in told.out + told.err


async def test_check_wants_the_databases_migrated(admin: Admin, mesh: Mesh) -> None:
    mesh.database("parley_notify").schema.delete_many({})
    told = await admin("check", "notify", "--json")
    assert told.code == 1
    (row,) = (row for row in told.document["reached"] if row["what"] == "mongodb")
    assert row["detail"].startswith("run migrate: parley_notify lacks ")
    assert (await admin("migrate")).code == 0
    assert (await admin("check", "notify")).code == 0


async def test_sessions_are_shown_and_revoked(admin: Admin, mesh: Mesh, connect: Connect, user: str) -> None:
    first, second = await connect(user, mesh.edges[0]), await connect(user, mesh.edges[1])
    ids = {client.of("welcome")[0]["connectionId"] for client in (first, second)}
    assert {row["connection"] for row in (await admin("sessions", user, "--json")).document} == ids
    one = first.of("welcome")[0]["connectionId"]
    assert (await admin("revoke", user, "--connection", one, "--json")).document == {"revoked": 1}
    await first.socket.wait_closed()
    # A connection is closed first and forgotten then.
    while (left := (await admin("sessions", user)).out.splitlines()[1:]) != list(ids - {one}):
        assert set(left) == ids
    assert (await admin("revoke", user, "--all")).out == "connections that end: 1\n"
    await second.socket.wait_closed()
    assert second.socket.close_code == first.socket.close_code
    while (told := (await admin("sessions", user)).out) != "nothing\n":
        assert told.splitlines()[1:] == list(ids - {one})


async def test_what_is_asked_wrongly_is_told(admin: Admin, user: str) -> None:
    assert (await admin("revoke", user)).code == 2
    assert (await admin("revoke", user, "--all", "--connection", "1")).code == 2
    wrong = await admin("explain", user, "no-message")
    assert wrong.code == 1
    assert "message_id" in wrong.err


async def test_a_service_that_is_away_is_told(
    admin: Admin, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_CHAT_TARGET", "dns:///127.0.0.1:1")
    told = await admin("sessions", user)
    assert told.code == 1
    assert told.err.startswith("chat")


async def test_the_ledger_tells_why_nobody_was_told(
    admin: Admin, mesh: Mesh, connect: Connect, user: str
) -> None:
    ann = await connect(user, mesh.edges[0])
    chat_id = (await ann.rest.post("/chats", {"userId": f"{user}-friend"}))["chat"]["id"]
    message_id = (await ann.say(chat_id, "are you there?"))["messageId"]

    async def settled() -> Any:
        async with asyncio.timeout(30):
            while True:
                answer = await admin("explain", f"{user}-friend", message_id, "--json")
                if answer.code == 0 and answer.document["outcome"] != "pending":
                    return answer.document
                await asyncio.sleep(0.1)

    explained = await settled()
    assert explained["outcome"]
    assert explained["preferences"]["enabled"] is True
    listed = await admin("ledger", "--message", message_id, "--json")
    assert [entry["chat"] for entry in listed.document] == [chat_id] * len(listed.document)
    assert f"{user}-friend" in listed.document[0]["users"]
    shown = await admin("explain", f"{user}-friend", message_id)
    assert explained["summary"] in shown.out
    assert "are you there?" not in shown.out
    unknown = await admin("explain", user, "0" * 24)
    assert unknown.code == 1
    assert (await admin("ledger")).code == 2


async def test_a_backup_that_is_made_while_people_write_is_sound(
    admin: Admin, mesh: Mesh, connect: Connect, user: str, tmp_path: Path
) -> None:
    ann = await connect(user, mesh.edges[0])
    chat_ids = [(await ann.rest.post("/chats", {"userId": f"{user}-{n}"}))["chat"]["id"] for n in range(3)]
    acked: list[str] = []

    async def write() -> None:
        while True:
            acked.append((await ann.say(chat_ids[len(acked) % 3], f"message {len(acked)}"))["messageId"])
            await asyncio.sleep(0.025)  # 50 a second are allowed

    writing = asyncio.create_task(write())
    await eventually(lambda: len(acked) > 20, "messages are acked")
    before = list(acked)
    await eventually(lambda: stored(mesh, before) == len(before), "messages are stored")
    for n in range(2):
        saved = await admin("backup", str(tmp_path / str(n)))
        assert saved.code == 0, saved.err
        drilled = await admin("restore-drill", str(tmp_path / str(n)))
        assert drilled.code == 0, drilled.out
    writing.cancel()
    await asyncio.wait((writing,))
    assert len(acked) > len(before)
    kept = {str(bson.decode(each)["_id"]) for each in Archive(tmp_path / "0").read("persist", "messages")}
    assert kept >= set(before)


def stored(mesh: Mesh, message_ids: list[str]) -> int:
    ids = [ObjectId(message_id) for message_id in message_ids]
    return int(mesh.database().messages.count_documents({"_id": {"$in": ids}}))


async def test_stats_count_what_is_there(admin: Admin, mesh: Mesh, connect: Connect, user: str) -> None:
    await connect(user, mesh.edges[0])
    told = (await admin("stats", "--json")).document
    queues = {row["queue"]: row for row in told["queues"]}
    assert queues["message-persist"]["consumers"] == 1
    assert queues["message-persist"]["dead"] == 0
    assert queues["parley.retry.5s"]["waiting"] == 0
    assert told["live"]["onlineUsers"] >= 1
    counted = {(row["database"], row["collection"]): row["documents"] for row in told["collections"]}
    assert counted["parley", "users"] >= 1
    shown = await admin("stats")
    assert shown.code == 0
    assert "users online: " in shown.out
