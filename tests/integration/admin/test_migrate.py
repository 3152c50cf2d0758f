"""`python -m admin migrate` on databases that are new, old, half done, and newer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from tests.integration.admin.conftest import Admin, Databases

ALL = ["mute_chats_until", "name_all_told_in_the_ledger"]


def old_entry() -> dict[str, Any]:
    """An entry of the ledger as the first release wrote it."""
    return {
        "_id": ObjectId(),
        "userId": "ann",
        "messageId": "6" * 24,
        "deviceId": "0" * 24,
        "chatId": "5" * 24,
        "outcome": "sent",
        "detail": "",
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "holder": "h",
    }


def test_new_databases_get_their_indexes_and_a_version(admin: Admin, databases: Databases) -> None:
    first = admin("migrate")
    assert first.code == 0, first.err
    assert first.out.splitlines()[0].split() == ["database", "from", "to", "migrations"]
    databases.parley.messages.insert_one({"chatId": 1, "seq": 1, "senderId": "a", "clientMsgId": "1"})
    with pytest.raises(DuplicateKeyError):
        databases.parley.messages.insert_one({"chatId": 1, "seq": 1, "senderId": "a", "clientMsgId": "2"})
    assert "one_per_key" in databases.notify.deliveries.index_information()
    again = admin("migrate", "--json")
    assert [(row["database"], row["from"], row["to"], row["migrations"]) for row in again.document] == [
        (databases.parley.name, 0, 0, []),
        ("parley_notify", 2, 2, []),
    ]


def test_documents_of_the_first_release_are_brought_up_to_date(admin: Admin, databases: Databases) -> None:
    databases.notify.preferences.insert_one(
        {"_id": "ann", "enabled": True, "mutedChatIds": ["c" * 24], "showPreview": True}
    )
    databases.notify.ledger.insert_one(old_entry())
    planned = admin("migrate", "--plan", "--json")
    assert planned.code == 1
    assert planned.document[1]["migrations"] == ALL
    done = admin("migrate", "--json")
    assert done.document[1]["migrations"] == [f"{name} (1 documents)" for name in ALL]
    preferences = databases.notify.preferences.find_one()
    assert preferences is not None
    assert preferences["mutedChats"] == [{"chatId": "c" * 24, "until": None}]
    assert preferences["mutedChatIds"] == ["c" * 24]  # pods of the release before still read it
    entry = databases.notify.ledger.find_one()
    assert entry is not None
    assert (entry["users"], entry["messages"]) == (["ann"], ["6" * 24])
    assert admin("migrate", "--plan").code == 0


def test_what_the_release_before_wrote_meanwhile_is_done_again(admin: Admin, databases: Databases) -> None:
    assert admin("migrate").code == 0
    databases.notify.ledger.insert_one(old_entry())
    assert admin("migrate").code == 0
    assert databases.notify.ledger.count_documents({"users": "ann"}) == 0
    assert admin("migrate", "--again").code == 0
    assert databases.notify.ledger.count_documents({"users": "ann"}) == 1


def test_two_at_once_do_the_work_once(admin: Admin, databases: Databases) -> None:
    databases.notify.ledger.insert_many([old_entry() for _ in range(100)])
    running = [admin.start("migrate", "--json") for _ in range(2)]
    for process in running:
        out, err = process.communicate(timeout=50)
        assert process.returncode == 0, (out, err)
    stamp = databases.notify.schema.find_one()
    assert stamp is not None
    assert [(each["name"], each["documents"]) for each in stamp["applied"]] == [(ALL[0], 0), (ALL[1], 100)]
    assert "holder" not in stamp


def test_a_run_that_was_cut_off_is_taken_over(admin: Admin, databases: Databases) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    databases.notify.schema.insert_one({"_id": "schema", "version": 1, "holder": "dead", "leaseUntil": past})
    done = admin("migrate", "--json")
    assert done.document[1]["migrations"] == [f"{ALL[1]} (0 documents)"]


def test_a_database_of_a_later_release_is_left_alone(admin: Admin, databases: Databases) -> None:
    databases.notify.schema.insert_one({"_id": "schema", "version": 99})
    done = admin("migrate", "--json")
    assert done.code == 0
    assert "beyond this release's" in done.err
    assert done.document[1]["to"] == 99
    assert databases.notify.list_collection_names() == ["schema"]


def test_data_that_break_a_unique_index_are_told(admin: Admin, databases: Databases) -> None:
    databases.parley.users.insert_many([{"userId": "ann"}, {"userId": "ann"}])
    done = admin("migrate")
    assert done.code == 1
    assert "duplicate" in done.err.lower()
    assert "Traceback" not in done.err


def test_a_server_that_is_away_is_told_within_the_time_to_wait(admin: Admin) -> None:
    admin.settings["PARLEY_MONGO_URL"] = "mongodb://user:hunter2@127.0.0.1:1"
    done = admin("migrate", "--wait", "0.2")
    assert done.code == 1
    assert done.err.startswith("mongodb: ")
    assert "hunter2" not in done.err


def test_settings_that_lack_are_told(admin: Admin) -> None:
    del admin.settings["PARLEY_MONGO_URL"]
    admin.settings["PARLEY_PERSIST_DATABASE"] = "no/name"
    done = admin("migrate")
    assert done.code == 78
    assert "PARLEY_MONGO_URL: is not set" in done.err
    assert "PARLEY_PERSIST_DATABASE: " in done.err
