"""Tells how far a chat's listed members are."""

from persist_service.domain.pointers import Pointer
from persist_service.ports import Chats, Memberships


class ListPointers:
    """In the order of joining, at most as many as a chat lists."""

    def __init__(self, chats: Chats, memberships: Memberships) -> None:
        self._chats = chats
        self._memberships = memberships

    async def __call__(self, chat_id: str) -> tuple[list[Pointer], int]:
        """The pointers, and how many members there are; nothing for a chat that does not exist."""
        chat = await self._chats.find(chat_id)
        if chat is None:
            return [], 0
        listed = [member.user_id for member in chat.members]
        pointers = await self._memberships.pointers(chat_id, listed)
        return [pointers[user_id] for user_id in listed if user_id in pointers], chat.member_count
