"""What is counted of messages."""

from collections.abc import Iterable
from dataclasses import dataclass

BLOCK = 1024
"""Positions that one block of counted messages covers."""

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Fact:
    """That a message was stored."""

    chat_id: str
    seq: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Block:
    """Part of one chat's UTC day (``day_ms`` is its midnight): the positions in one run of ``BLOCK``."""

    chat_id: str
    day_ms: int
    number: int


def blocks(facts: Iterable[Fact]) -> dict[Block, set[int]]:
    """The positions to count, by the block they belong to."""
    counted: dict[Block, set[int]] = {}
    for fact in facts:
        day_ms = fact.created_at_ms - fact.created_at_ms % _DAY_MS
        counted.setdefault(Block(fact.chat_id, day_ms, fact.seq // BLOCK), set()).add(fact.seq)
    return counted
