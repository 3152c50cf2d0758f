"""Long sequences in parts, for calls that take so many items and no more."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Slices of up to `size` items, in order; none of nothing."""
    return (items[start : start + size] for start in range(0, len(items), size))
