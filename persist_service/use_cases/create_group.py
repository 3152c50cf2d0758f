"""Makes a group."""

from mesh.clock import now_ms
from persist_service.domain.chats import Chat, ChatType
from persist_service.errors import WrongChatType
from persist_service.ports import ChatLists, Chats, Memberships, NewGroup
from persist_service.use_cases.limit_strangers import LimitStrangers
from persist_service.use_cases.name_members import NameMembers


class CreateGroup:
    """Idempotent by the id that the caller chose. Who left since then is not brought back by a repeat."""

    def __init__(
        self,
        chats: Chats,
        memberships: Memberships,
        chat_lists: ChatLists,
        name_members: NameMembers,
        strangers: LimitStrangers,
    ) -> None:
        self._chats = chats
        self._memberships = memberships
        self._chat_lists = chat_lists
        self._name_members = name_members
        self._strangers = strangers

    async def __call__(self, group: NewGroup, *, strangers_limited: bool) -> Chat:
        """The group.

        Raises:
            WrongChatType: the id belongs to a direct chat.
            TooManyGroups: the maker may add one of the others to no more groups.
        """
        maker_id = group.members[0].user_id if strangers_limited else ""
        if maker_id:
            members = [member.user_id for member in group.members[1:]]
            await self._strangers.check(maker_id, members, group.chat_id)
        chat = await self._chats.create_group(group, now_ms())
        if chat.type is not ChatType.GROUP:
            raise WrongChatType
        if chat.members_version > 0:
            return chat
        await self._memberships.add(chat.id, group.members, added_by_id=maker_id)
        chat = await self._name_members(chat.id)
        await self._chat_lists.drop(member.user_id for member in group.members)
        return chat
