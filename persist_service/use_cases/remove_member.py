"""Removes a member from a group."""

from persist_service.domain.chats import ChatType, Role
from persist_service.errors import ChatNotFound, LastAdmin, WrongChatType
from persist_service.ports import ChatLists, Chats, Memberships
from persist_service.use_cases.name_members import NameMembers


class RemoveMember:
    """Removes a member, and sees to it that a group with members has an admin."""

    def __init__(
        self, chats: Chats, memberships: Memberships, chat_lists: ChatLists, name_members: NameMembers
    ) -> None:
        self._chats = chats
        self._memberships = memberships
        self._chat_lists = chat_lists
        self._name_members = name_members

    async def __call__(self, chat_id: str, user_id: str, *, promote_successor: bool) -> tuple[bool, str]:
        """Whether the user was a member, and who became admin for it (empty: nobody).

        Raises:
            ChatNotFound, WrongChatType: as named.
            LastAdmin: the last admin goes, others stay, and no successor is wanted.
        """
        chat = await self._chats.find(chat_id)
        if chat is None:
            raise ChatNotFound
        if chat.type is not ChatType.GROUP:
            raise WrongChatType
        if not promote_successor and await self._is_last_admin(chat_id, user_id):
            raise LastAdmin
        removed = await self._memberships.remove(chat_id, user_id)
        # After the removal and also on a repeat: so it holds when two admins leave at the same moment, and
        # when an earlier attempt got no further than the removal.
        promoted = await self._promote_if_headless(chat_id)
        await self._name_members(chat_id, change=-int(removed), left=user_id)
        await self._chat_lists.drop({user_id, promoted} - {""})
        return removed, promoted

    async def _is_last_admin(self, chat_id: str, user_id: str) -> bool:
        [membership] = await self._memberships.find_many([(chat_id, user_id)])
        if membership.role is not Role.ADMIN:
            return False
        others_stay = len(await self._memberships.first(chat_id, 2)) > 1
        return others_stay and not await self._memberships.has_admin(chat_id, besides=user_id)

    async def _promote_if_headless(self, chat_id: str) -> str:
        while not await self._memberships.has_admin(chat_id):
            longest = await self._memberships.first(chat_id, 1)
            if not longest:
                return ""
            if await self._memberships.set_role(chat_id, longest[0].user_id, Role.ADMIN):
                return longest[0].user_id
        return ""
