"""How often users may do things."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mesh.token_bucket import hint_ms


@dataclass(frozen=True, slots=True)
class Grant:
    """How many of a user's items are let through, and in how many seconds the others are to come again.

    Each of them has a turn of its own: the first after ``wait_seconds``, the next ``interval_seconds`` later.
    """

    count: int
    wait_seconds: float
    interval_seconds: float

    def retry_after_ms(self, place: int = 0) -> int:
        """The hint for the refused item at that place, from 0."""
        return hint_ms(self.wait_seconds + place * self.interval_seconds)


class RateLimiter(Protocol):
    """Token buckets per user and action, shared by all processes. A refusal takes nothing."""

    async def take(self, action: str, wanted: Mapping[str, int], *, price: int = 1) -> Mapping[str, Grant]:
        """Per user, for so many items of ``price`` tokens each: how many are granted."""

    async def give_back(self, action: str, tokens: Mapping[str, int]) -> None:
        """Per user: tokens that were taken for something that turned out to be free."""
