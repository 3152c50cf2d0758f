"""Keeps what a chat's document says of its members true to the memberships."""

from typing import Final

from mesh.clock import now_ms
from persist_service.domain.chats import MEMBERS_LISTED, Chat
from persist_service.errors import ChatNotFound
from persist_service.ports import Chats, Memberships

# Above this many members, counting all of them for each change costs more than the change.
_COUNTED_ANEW: Final = 1_000


class NameMembers:
    """Writes the first members and the count into the chat after a change of its memberships.

    It reads the memberships again rather than apply the change, so a repeat heals what a crash left undone;
    an optimistic lock lets the later of two readers win. Only large groups add and subtract: there a crash
    may leave the count off by that change.
    """

    def __init__(self, chats: Chats, memberships: Memberships) -> None:
        self._chats = chats
        self._memberships = memberships

    async def __call__(self, chat_id: str, *, change: int = 0, left: str = "") -> Chat:
        """The chat afterwards. ``change`` members joined (or left, below 0), among them ``left``."""
        while True:
            chat = await self._chats.find(chat_id)
            if chat is None:
                raise ChatNotFound
            if chat.member_count > _COUNTED_ANEW and not chat.lists(left):
                updated = await self._chats.change_member_count(chat_id, change, now_ms()) if change else chat
            else:
                members, more = await self._memberships.page(chat_id, MEMBERS_LISTED)
                count = len(members) if more is None else await self._memberships.count(chat_id)
                updated = await self._chats.set_members(chat, members, count, now_ms())
            if updated is not None:
                return updated
