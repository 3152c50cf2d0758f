"""A backup on disk, whole and damaged."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import bson
import pytest

from admin.archive import FORMAT, Archive, Manifest, Part
from admin.command import CommandError

DOCUMENTS = [bson.encode({"n": n, "text": "x" * n}) for n in range(50)]


async def stream(documents: Sequence[bytes]) -> AsyncIterator[bytes]:
    for document in documents:
        yield document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "backups" / "one"
    archive = Archive.create(folder)
    file = asyncio.run(archive.write("persist", "messages", stream(DOCUMENTS)))
    parts = {"persist": Part("parley", 0, {"messages": file})}
    archive.finish(Manifest(FORMAT, "2026-01-01T00:00:00.000Z", one_moment=True, parts=parts))
    return folder


def test_what_was_written_is_read(folder: Path) -> None:
    archive = Archive(folder)
    assert archive.problems() == []
    assert list(archive.read("persist", "messages")) == DOCUMENTS
    assert archive.manifest().parts["persist"].documents == 50
    # Readable by MongoDB's own tools: nothing but BSON.
    assert bson.decode_all((folder / "persist" / "messages.bson").read_bytes())[49]["n"] == 49


def test_nobody_else_may_read_it(folder: Path) -> None:
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*"))


def test_a_backup_is_never_written_over(folder: Path) -> None:
    with pytest.raises(CommandError, match="exists"):
        Archive.create(folder)


def test_one_that_did_not_end_is_none(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(CommandError, match="a backup that ended has one"):
        Archive(folder).problems()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[:-1], "is cut off"),
        (lambda data: data[: -len(DOCUMENTS[-1])], "49 documents instead of 50"),
        (lambda data: data[:-3] + b"y\0\0", "the contents changed"),
        (lambda data: data + b"\xff\xff\xff\xff", "something else than BSON"),
        (lambda data: data + DOCUMENTS[0], "51 documents instead of 50"),
    ],
)
def test_damage_is_found(folder: Path, damage: Callable[[bytes], bytes], told: str) -> None:
    path = folder / "persist" / "messages.bson"
    path.write_bytes(damage(path.read_bytes()))
    (problem,) = Archive(folder).problems()
    assert problem.startswith("persist/messages: ")
    assert told in problem


def test_a_file_that_lacks_is_found(folder: Path) -> None:
    (folder / "persist" / "messages.bson").unlink()
    assert Archive(folder).problems() == ["persist/messages: No such file or directory"]


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1}', "[]", '{"format": "one"}'])
def test_what_is_no_manifest_is_told(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(CommandError, match=r"manifest\.json: "):
        Archive(folder).manifest()


def test_a_later_format_is_not_guessed_at(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(CommandError, match="of format 2"):
        Archive(folder).manifest()
