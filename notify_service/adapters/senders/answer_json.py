"""Answers in JSON, from providers that may say anything."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decode(body: bytes, kind: type[T]) -> T | None:
    """What a body says; None when it is not of this kind."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Besides what is no JSON: JSON in broken UTF-8, or nested without an end.
        return None
