"""Tells how far a chat's members are."""

import asyncio
from typing import Final

from persist_service.domain.pointers import Pointer
from persist_service.ports import Chats, Memberships

POINTERS_LISTED: Final = 100


class ListPointers:
    """In the order of joining, of the first ``POINTERS_LISTED`` members."""

    def __init__(self, chats: Chats, memberships: Memberships) -> None:
        self._chats = chats
        self._memberships = memberships

    async def __call__(self, chat_id: str) -> tuple[list[Pointer], int]:
        """The pointers, and how many members there are; nothing for a chat that does not exist."""
        heads, pointers = await asyncio.gather(
            self._chats.heads([chat_id]), self._memberships.pointers(chat_id, POINTERS_LISTED)
        )
        return (pointers, heads[0][1]) if heads else ([], 0)
