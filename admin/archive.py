"""A backup on disk: a folder with one file of BSON documents per collection, and a manifest.

`<part>/<collection>.bson` holds the documents one after the other, as MongoDB's own tools write them. The
manifest is written last: a folder without one is no backup. Files are their owner's alone, for they hold what
people wrote.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from admin.command import CommandError

FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_LENGTH_BYTES: Final = 4  # a BSON document begins with its own length, little-endian (bsonspec.org)
_SHORTEST: Final = 5
_LONGEST: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class File:
    """What one file must hold."""

    documents: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """One database, by the name it had, with the version of its schema."""

    database: str
    version: int
    collections: dict[str, File]

    @property
    def documents(self) -> int:
        """In all collections."""
        return sum(file.documents for file in self.collections.values())


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the whole backup must hold. `one_moment`: read from a snapshot, so all is of one point in time."""

    format: int
    created_at: str
    one_moment: bool
    parts: dict[str, Part]


class Archive:
    """One folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A new one.

        Raises:
            CommandError: the folder exists, or cannot be made.
        """
        try:
            folder.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise CommandError(f"{folder}: {error.strerror}") from error
        return cls(folder)

    async def write(self, part: str, collection: str, documents: AsyncIterator[bytes]) -> File:
        """Writes all documents of a collection and makes them durable."""
        path = self._path(part, collection)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        digest, count, size = hashlib.sha256(), 0, 0
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb", buffering=1 << 20) as file:
            async for document in documents:
                file.write(document)
                digest.update(document)
                count, size = count + 1, size + len(document)
            file.flush()
            os.fsync(file.fileno())
        return File(count, size, digest.hexdigest())

    def finish(self, manifest: Manifest) -> None:
        """Makes it a backup."""
        path = self._folder / _MANIFEST
        partial = path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(asdict(manifest)), indent=2))
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)

    def manifest(self) -> Manifest:
        """What it must hold.

        Raises:
            CommandError: it is no backup, or one of another format.
        """
        path = self._folder / _MANIFEST
        try:
            manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}; a backup that ended has one") from error
        except msgspec.DecodeError as error:
            raise CommandError(f"{path}: {error}") from error
        if manifest.format != FORMAT:
            raise CommandError(f"{path}: of format {manifest.format}; this release reads {FORMAT}")
        return manifest

    def problems(self) -> list[str]:
        """What is not as the manifest says, file by file."""
        return [
            f"{part}/{name}: {problem}"
            for part, held in self.manifest().parts.items()
            for name, file in held.collections.items()
            if (problem := self._problem(part, name, file))
        ]

    def read(self, part: str, collection: str) -> Iterator[bytes]:
        """The documents of a collection.

        Raises:
            CommandError: the file is cut off or holds something else.
        """
        path = self._path(part, collection)
        with path.open("rb", buffering=1 << 20) as file:
            while head := file.read(_LENGTH_BYTES):
                length = int.from_bytes(head, "little")
                if not _SHORTEST <= length <= _LONGEST:
                    raise CommandError(f"{path}: holds something else than BSON")
                document = head + file.read(length - _LENGTH_BYTES)
                if len(document) != length:
                    raise CommandError(f"{path}: is cut off")
                yield document

    def _problem(self, part: str, collection: str, file: File) -> str:
        digest, count = hashlib.sha256(), 0
        try:
            for document in self.read(part, collection):
                digest.update(document)
                count += 1
        except OSError as error:
            return error.strerror or type(error).__name__
        except CommandError as error:
            return str(error)
        if count != file.documents:
            return f"{count} documents instead of {file.documents}"
        return "" if digest.hexdigest() == file.sha256 else "the contents changed (sha256)"

    def _path(self, part: str, collection: str) -> Path:
        return self._folder / part / f"{collection}.bson"


def rows(manifest: Manifest) -> list[dict[str, Any]]:
    """The collections as they are shown."""
    return [
        {"database": part.database, "collection": name, "documents": file.documents, "bytes": file.bytes}
        for part in manifest.parts.values()
        for name, file in part.collections.items()
    ]
