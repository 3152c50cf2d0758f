"""Lists a user's chats."""

from persist_service.domain.chats import ChatList, UserChat
from persist_service.ports import Chats, Memberships


class ListChats:
    """The last changed first, with the user's role and pointers."""

    def __init__(self, chats: Chats, memberships: Memberships) -> None:
        self._chats = chats
        self._memberships = memberships

    async def __call__(self, user_id: str, limit: int) -> ChatList:
        """At most ``limit`` chats."""
        mine = {membership.chat_id: membership for membership in await self._memberships.of_user(user_id)}
        chats = await self._chats.last_changed(mine, limit + 1) if mine else []
        return ChatList(
            tuple(
                UserChat(chat, mine[chat.id].role, mine[chat.id].read_seq, mine[chat.id].read_number)
                for chat in chats[:limit]
            ),
            truncated=len(chats) > limit,
        )
