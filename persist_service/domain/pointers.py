"""How far a member is in a chat. Pointers only grow, so any order and any repeat gives the same."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pointer:
    """A member's pointers in one chat. 0 in a move means: leave what is stored."""

    chat_id: str
    user_id: str
    read_seq: int = 0
    read_number: int = 0
    delivered_seq: int = 0
    at_ms: int = 0


def merge(pointers: Iterable[Pointer]) -> list[Pointer]:
    """One pointer per member and chat that moves as far as all of them together."""
    merged: dict[tuple[str, str], Pointer] = {}
    for pointer in pointers:
        key = (pointer.chat_id, pointer.user_id)
        known = merged.get(key)
        merged[key] = pointer if known is None else _further(known, pointer)
    return list(merged.values())


def _further(one: Pointer, other: Pointer) -> Pointer:
    ahead = one if one.read_seq >= other.read_seq else other
    return Pointer(
        one.chat_id,
        one.user_id,
        read_seq=ahead.read_seq,
        read_number=max(one.read_number, other.read_number),
        delivered_seq=max(one.delivered_seq, other.delivered_seq),
        at_ms=ahead.at_ms,
    )
