"""Reading the errors of unordered bulk writes."""

from typing import Final

from pymongo.errors import BulkWriteError

from mesh.errors import unavailable
from mesh.mongo import DEPENDENCY

_DUPLICATE_KEY: Final = 11000
# Codes that blame the document: BadValue, TypeMismatch, DocumentValidationFailure, BSONObjectTooLarge, and
# "key too large to index". Any other code (a full disk, a failover) blames the server.
_DOCUMENT_FAULTS: Final = frozenset({2, 14, 121, 10334, 17280})


def duplicates(error: BulkWriteError) -> list[int]:
    """The places of the operations that met a duplicate key, when nothing else failed.

    Raises:
        Unavailable: something else failed too.
    """
    places, faults = failures(error)
    if faults:
        raise unavailable(DEPENDENCY, f"mongodb: write errors {sorted(set(faults.values()))}") from error
    return places


def failures(error: BulkWriteError) -> tuple[list[int], dict[int, int]]:
    """The places of duplicate keys, and the codes of the documents at fault by place.

    Raises:
        Unavailable: the server is at fault for some failure, or a majority did not confirm in time.
    """
    details = error.details or {}
    if details.get("writeConcernErrors"):
        raise unavailable(DEPENDENCY, "mongodb: not confirmed by a majority") from error
    places: list[int] = []
    faults: dict[int, int] = {}
    for failure in details.get("writeErrors", ()):
        code = failure["code"]
        if code == _DUPLICATE_KEY:
            places.append(failure["index"])
        elif code in _DOCUMENT_FAULTS:
            faults[failure["index"]] = code
        else:
            raise unavailable(DEPENDENCY, f"mongodb: write error {code}") from error
    return places, faults
