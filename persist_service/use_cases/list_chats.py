"""Lists a user's chats."""

from mesh.clock import now_ms
from persist_service.domain.chat_pages import ChatPage, ListCursor, UserChat, page_of
from persist_service.ports import Chats, Memberships


class ListChats:
    """The last changed first, with the user's role and pointers.

    Takes time in proportion to the user's chats, and reads a few numbers of each.
    """

    def __init__(self, chats: Chats, memberships: Memberships) -> None:
        self._chats = chats
        self._memberships = memberships

    async def __call__(self, user_id: str, limit: int, cursor: ListCursor | None = None) -> ChatPage:
        """The page at the cursor, at most ``limit`` chats."""
        mine = {membership.chat_id: membership for membership in await self._memberships.of_user(user_id)}
        states = await self._chats.states(mine) if mine else []
        chats = (
            UserChat(state, own.role, own.read_seq, own.read_number)
            for state in states
            for own in (mine[state.chat_id],)
        )
        return page_of(chats, cursor, limit, now_ms())
