"""Makes a group."""

from mesh.clock import now_ms
from persist_service.domain.chats import Chat, ChatType
from persist_service.errors import WrongChatType
from persist_service.ports import ChatLists, Chats, Memberships, NewGroup
from persist_service.use_cases.list_members import ListMembers


class CreateGroup:
    """Idempotent by the id that the caller chose. Who left since then is not brought back by a repeat."""

    def __init__(
        self, chats: Chats, memberships: Memberships, chat_lists: ChatLists, list_members: ListMembers
    ) -> None:
        self._chats = chats
        self._memberships = memberships
        self._chat_lists = chat_lists
        self._list_members = list_members

    async def __call__(self, group: NewGroup) -> Chat:
        """The group. Raises ``WrongChatType`` when the id belongs to a direct chat."""
        chat = await self._chats.create_group(group, now_ms())
        if chat.type is not ChatType.GROUP:
            raise WrongChatType
        if chat.members_version > 0:
            return chat
        await self._memberships.add(chat.id, group.members)
        chat = await self._list_members(chat.id)
        await self._chat_lists.drop(member.user_id for member in group.members)
        return chat
