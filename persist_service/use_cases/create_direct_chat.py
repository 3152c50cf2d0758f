"""Makes the direct chat of a pair, or finds it."""

from mesh.clock import now_ms
from persist_service.domain.chats import Chat
from persist_service.ports import ChatLists, Chats, Memberships


class CreateDirectChat:
    """One per pair, whoever asks first. A repeat completes what a crash left half done."""

    def __init__(self, chats: Chats, memberships: Memberships, chat_lists: ChatLists) -> None:
        self._chats = chats
        self._memberships = memberships
        self._chat_lists = chat_lists

    async def __call__(self, user_id: str, peer_id: str) -> tuple[Chat, bool]:
        """The chat, and whether it is new."""
        chat, created = await self._chats.create_direct(user_id, peer_id, now_ms())
        if await self._memberships.add(chat.id, chat.members):
            await self._chat_lists.drop((user_id, peer_id))
        return chat, created
