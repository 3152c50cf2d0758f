"""`backup`, `restore` and `restore-drill` between databases of a real server."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Binary, ObjectId
from pymongo import MongoClient

from tests.integration.admin.conftest import Admin, Databases
from tests.integration.mongo_faults import ObedientMongo

CHATS = [ObjectId() for _ in range(3)]
NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def message(chat: ObjectId, seq: int, number: int) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "chatId": chat,
        "seq": seq,
        "number": number,
        "senderId": "ann",
        "clientMsgId": f"{seq}",
        "content": f"message {seq} 🙂",
        "createdAt": NOW,
    }


def change(chat: ObjectId, seq: int, number: int, kind: str) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "chatId": chat,
        "seq": seq,
        "number": number,
        "type": kind,
        "event": Binary(b"\0\1"),
    }


@pytest.fixture
def filled(admin: Admin, databases: Databases) -> Databases:
    """Three chats of 40 entries each, one of them a membership change and one void; and a ledger."""
    assert admin("migrate").code == 0
    parley = databases.parley
    for chat in CHATS:
        parley.chats.insert_one({"_id": chat, "type": "group", "lastSeq": 40, "lastNumber": 39, "epoch": 1})
        parley.changes.insert_one(change(chat, 1, 0, "members_added"))
        parley.messages.insert_many([message(chat, seq, seq - 1) for seq in range(2, 40)])
        parley.changes.insert_one(change(chat, 40, 39, "void"))
        parley.memberships.insert_one({"chatId": chat, "userId": "ann", "readSeq": 40, "readNumber": 39})
    databases.notify.ledger.insert_one({"users": ["ann"], "messages": ["6" * 24], "at": NOW})
    databases.notify.preferences.insert_one({"_id": "ann", "enabled": True})
    return databases


def contents(database: Any) -> dict[str, list[dict[str, Any]]]:
    names = set(database.list_collection_names()) - {"schema"}
    found = {name: list(database[name].find().sort("_id", 1)) for name in names}
    return {name: documents for name, documents in found.items() if documents}


def test_what_was_saved_is_restored(admin: Admin, filled: Databases, tmp_path: Path) -> None:
    before = contents(filled.parley), contents(filled.notify)
    saved = admin("backup", str(tmp_path / "one"), "--json")
    assert saved.code == 0, saved.err
    counts = {(row["database"], row["collection"]): row["documents"] for row in saved.document}
    assert counts[filled.parley.name, "messages"] == 114
    for database in (filled.parley, filled.notify):
        filled.client.drop_database(database.name)
    restored = admin("restore", str(tmp_path / "one"), "--json")
    assert restored.code == 0, restored.out
    assert {row["state"] for row in restored.document} == {"ok"}
    assert (contents(filled.parley), contents(filled.notify)) == before
    assert filled.parley.messages.index_information()["chatId_1_seq_1"]["unique"]
    assert admin("migrate", "--plan").code == 0
    for told in (saved.err, restored.err):
        assert f"{filled.parley.name}: messages: 114 of 114 documents" in told.splitlines()


@pytest.mark.usefixtures("filled")
def test_the_embedded_store_makes_indexes_before_it_copies(admin: Admin, tmp_path: Path) -> None:
    assert admin("backup", str(tmp_path / "one")).code == 0
    with ObedientMongo() as server, MongoClient[dict[str, Any]](server.url) as client:
        admin.settings["PARLEY_MONGO_URL"] = server.url
        server.fail(["createIndexes"], "alwaysOn", errorCode=13)
        assert admin("restore", str(tmp_path / "one")).code == 1
        counts = [client[name].messages.count_documents({}) for name in client.list_database_names()]
        assert not any(counts)
        server.obey()
        assert admin("restore", str(tmp_path / "one")).code == 0


@pytest.mark.usefixtures("filled")
def test_the_folder_may_name_the_time(admin: Admin, tmp_path: Path) -> None:
    assert admin("backup", str(tmp_path / "parley-%Y-%m-%d")).code == 0
    assert (tmp_path / f"parley-{datetime.now(UTC):%Y-%m-%d}" / "manifest.json").exists()


def test_a_chat_is_cut_at_the_head_that_it_had(admin: Admin, filled: Databases, tmp_path: Path) -> None:
    # As if these were stored after the chats were read.
    filled.parley.messages.insert_many([message(CHATS[0], 41, 40), message(ObjectId(), 1, 1)])
    filled.parley.memberships.update_one({"chatId": CHATS[0]}, {"$set": {"readSeq": 41, "readNumber": 40}})
    filled.parley.memberships.insert_one({"chatId": ObjectId(), "userId": "ann"})
    assert admin("backup", str(tmp_path / "one")).code == 0
    drilled = admin("restore-drill", str(tmp_path / "one"), "--json")
    assert drilled.code == 0, drilled.out
    checked = {row["check"]: row["checked"] for row in drilled.document}
    assert checked["positions and numbers of logs"] == 120
    assert checked["references to chats"] == 123


def test_a_drill_leaves_nothing_and_changes_nothing(admin: Admin, filled: Databases, tmp_path: Path) -> None:
    before = contents(filled.parley), contents(filled.notify)
    assert admin("backup", str(tmp_path / "one")).code == 0
    drilled = admin("restore-drill", str(tmp_path / "one"))
    assert drilled.code == 0
    assert drilled.out.splitlines()[0].split() == ["check", "checked", "state", "detail"]
    assert (contents(filled.parley), contents(filled.notify)) == before
    assert not [name for name in filled.client.list_database_names() if "drill" in name]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda parley: parley.messages.delete_one({"seq": 7}), "lacks positions 7 to 7"),
        (lambda parley: parley.messages.update_one({"seq": 7}, {"$set": {"number": 9}}), "has number 9 at 7"),
        (lambda parley: parley.chats.update_one({"_id": CHATS[0]}, {"$set": {"lastNumber": 20}}), "beyond"),
    ],
)
def test_a_drill_finds_what_is_wrong(
    admin: Admin, filled: Databases, tmp_path: Path, spoil: Any, told: str
) -> None:
    spoil(filled.parley)
    assert admin("backup", str(tmp_path / "one")).code == 0
    drilled = admin("restore-drill", str(tmp_path / "one"))
    assert drilled.code == 1
    assert told in drilled.out


def test_a_drill_finds_what_breaks_a_unique_index(admin: Admin, filled: Databases, tmp_path: Path) -> None:
    filled.parley.messages.drop_indexes()
    filled.parley.messages.insert_one({**message(CHATS[0], 7, 6), "clientMsgId": "another"})
    assert admin("backup", str(tmp_path / "one")).code == 0
    drilled = admin("restore-drill", str(tmp_path / "one"))
    assert drilled.code == 1
    assert "duplicate" in drilled.err.lower()
    assert "message 7" not in drilled.err
    assert not [name for name in filled.client.list_database_names() if "drill" in name]


@pytest.mark.usefixtures("filled")
def test_a_drill_that_may_not_drop_copies_nothing(admin: Admin, tmp_path: Path) -> None:
    assert admin("backup", str(tmp_path / "one")).code == 0
    with ObedientMongo() as server, MongoClient[dict[str, Any]](server.url) as client:
        admin.settings["PARLEY_MONGO_URL"] = server.url
        server.fail(["dropDatabase"], "alwaysOn", errorCode=13)
        drilled = admin("restore-drill", str(tmp_path / "one"))
        assert drilled.code == 1
        assert "the user of PARLEY_MONGO_URL lacks a right" in drilled.err
        assert "nothing was copied" in drilled.err
        assert not [name for name in client.list_database_names() if "drill" in name]
        server.obey()
        assert admin("restore-drill", str(tmp_path / "one")).code == 0


@pytest.mark.usefixtures("filled")
def test_a_drill_names_the_databases_that_it_could_not_drop(admin: Admin, tmp_path: Path) -> None:
    assert admin("backup", str(tmp_path / "one")).code == 0
    with ObedientMongo() as server, MongoClient[dict[str, Any]](server.url) as client:
        admin.settings["PARLEY_MONGO_URL"] = server.url
        # The right is tried once a database, and is there; then it is taken away.
        server.fail(["dropDatabase"], {"skip": 2}, errorCode=13)
        drilled = admin("restore-drill", str(tmp_path / "one"))
        assert drilled.code == 1
        left = [name for name in client.list_database_names() if "drill" in name]
        assert len(left) == 2
        assert all(f"{name} is left" in drilled.err for name in left)


@pytest.mark.usefixtures("filled")
def test_a_database_that_holds_something_is_left_alone(admin: Admin, tmp_path: Path) -> None:
    assert admin("backup", str(tmp_path / "one")).code == 0
    refused = admin("restore", str(tmp_path / "one"))
    assert refused.code == 1
    assert "is not empty" in refused.err


@pytest.mark.usefixtures("filled")
def test_a_damaged_backup_is_not_restored(admin: Admin, tmp_path: Path) -> None:
    assert admin("backup", str(tmp_path / "one")).code == 0
    with (tmp_path / "one" / "persist" / "messages.bson").open("ab") as file:
        file.truncate(1000)
    for command in ("restore", "restore-drill"):
        refused = admin(command, str(tmp_path / "one"))
        assert refused.code == 1
        assert "the backup is damaged:\n  persist/messages: " in refused.err


def test_a_backup_of_an_older_release_is_brought_up_to_date(
    admin: Admin, filled: Databases, tmp_path: Path
) -> None:
    filled.notify.preferences.insert_one({"_id": "bob", "enabled": True, "mutedChatIds": ["c" * 24]})
    filled.notify.schema.update_one({"_id": "schema"}, {"$set": {"version": 0}})
    assert admin("backup", str(tmp_path / "one")).code == 0
    for database in (filled.parley, filled.notify):
        filled.client.drop_database(database.name)
    assert admin("restore", str(tmp_path / "one")).code == 0
    bob = filled.notify.preferences.find_one({"_id": "bob"})
    assert bob is not None
    assert bob["mutedChats"] == [{"chatId": "c" * 24, "until": None}]


def test_what_is_no_backup_is_told(admin: Admin, tmp_path: Path) -> None:
    refused = admin("restore", str(tmp_path))
    assert refused.code == 1
    assert "manifest.json" in refused.err


def test_a_server_that_is_away_leaves_no_folder(admin: Admin, tmp_path: Path) -> None:
    admin.settings["PARLEY_MONGO_URL"] = "mongodb://127.0.0.1:1"
    admin.patch.setattr("admin.mongo.WAIT_SECONDS", 0.2)
    assert admin("backup", str(tmp_path / "one")).code == 1
    assert not (tmp_path / "one").exists()
