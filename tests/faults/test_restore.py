"""The databases are lost, and restored from a backup as docs/operations.md says.

Counted: messages acked before the backup, and found after the restore; those acked after it are lost with the
databases. The chat goes on, for a client that was away all the time too.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from redis import Redis

from admin.__main__ import main
from tests.e2e.mesh import Client, Frame, Mesh
from tests.support.polling import eventually

BEFORE = 30
AFTER = 5


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    with ExitStack() as stack:
        mesh = Mesh.start(tmp_path, stack)
        asyncio.run(mesh.ready())
        yield mesh


async def admin(*arguments: str) -> None:
    assert await asyncio.to_thread(main, arguments) == 0


async def resume(client: Client, chat_id: str, last: Frame) -> Frame:
    """What a client is told that comes back with this entry as its last."""
    cursor = {"chatId": chat_id, "seq": last["seq"], "epoch": last["epoch"]}
    reply = await client.ask("resume", {"chats": [cursor]})
    assert reply["event"] == "ack", reply
    (told,) = reply["data"]["chats"]
    return Frame(told)


@pytest.mark.timeout(120)
async def test_a_restored_deployment_goes_on(
    mesh: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PARLEY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARLEY_MONGO_URL", mesh.mongo.url)
    folder = str(tmp_path / "backup")

    async with AsyncExitStack() as stack:
        ann = await Client.open(mesh.edges[0], "ann", stack)
        bob = await Client.open(mesh.edges[1], "bob", stack)
        chat_id = (await ann.rest.post("/chats", {"userId": "bob"}))["chat"]["id"]
        await bob.wait_for("chat-created")
        acked = [await ann.say(chat_id, f"message {n}") for n in range(BEFORE)]
        await bob.wait_for("new-message", count=BEFORE)
        await bob.ask("mark-chat-read", {"chatId": chat_id})
        messages, read = mesh.database().messages, {"userId": "bob", "readNumber": BEFORE}
        await eventually(lambda: messages.count_documents({}) == BEFORE, "all is stored")
        await eventually(lambda: mesh.database().memberships.count_documents(read), "the read mark is stored")
        await admin("backup", folder)
        for n in range(AFTER):
            await ann.say(chat_id, f"lost {n}")
        await eventually(lambda: messages.count_documents({}) == BEFORE + AFTER, "all is stored")

    for service in mesh.services:
        await asyncio.to_thread(service.process.stop)
    for database in ("parley", "parley_notify"):
        mesh.databases.drop_database(database)
    await admin("restore", folder)
    with Redis.from_url(mesh.redis.url) as redis:
        redis.flushall()
    await asyncio.gather(*(service.restart() for service in mesh.services))

    async with AsyncExitStack() as stack:
        ann = await Client.open(mesh.edges[0], "ann", stack)
        bob = await Client.open(mesh.edges[1], "bob", stack)
        told = await ann.say(chat_id, "here again")
        await bob.wait_for("new-message", content="here again")
        assert told["epoch"] > acked[-1]["epoch"]
        assert told["number"] == BEFORE + 1
        resumed = await resume(bob, chat_id, acked[-1])
        history = (await ann.rest.get(f"/chats/{chat_id}/messages?limit=100"))["messages"]
    expected = [*(f"message {n}" for n in range(BEFORE)), "here again"]
    assert [message["content"] for message in history] == expected
    # Told to load the history anew: the log of his cursor is not the one that was restored.
    assert (resumed["reset"], resumed["unread"]) == (True, 1)
    print(  # noqa: T201 - the test says what it counted
        f"acked before the backup {BEFORE}, found after the restore {len(history) - 1}; "
        f"acked after the backup and lost with the databases {AFTER}"
    )
