"""Batches of what is encoded already, as the queues carry them: field 1 of the message, repeated."""

from collections.abc import Iterable
from typing import Final

_FIELD: Final = b"\x0a"  # number 1, length-delimited
_MORE: Final = 0x80  # the bit that says that a varint goes on


def encoded_batch(items: Iterable[bytes]) -> bytes:
    """A ``PersistBatch``, ``EventBatch`` or ``IndexBatch`` of encoded items; none is decoded for it."""
    parts: list[bytes] = []
    for item in items:
        parts.extend((_FIELD, _varint(len(item)), item))
    return b"".join(parts)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= _MORE:
        out.append(value % _MORE | _MORE)
        value //= _MORE
    out.append(value)
    return bytes(out)
