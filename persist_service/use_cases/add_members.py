"""Adds members to a group."""

from collections.abc import Sequence

from mesh.clock import now_ms
from persist_service.domain.chats import Chat, ChatType, Member, Role
from persist_service.errors import ChatFull, ChatNotFound, WrongChatType
from persist_service.ports import ChatLists, Chats, Memberships
from persist_service.use_cases.limit_strangers import LimitStrangers
from persist_service.use_cases.name_members import NameMembers


class AddMembers:
    """Adds those who are no members yet.

    The limit is checked before, without a lock: calls at the same moment may overshoot it by what they add.
    Cached chat lists are dropped for the new members alone: in those of others the count may be 300 s old.
    """

    def __init__(
        self,
        chats: Chats,
        memberships: Memberships,
        chat_lists: ChatLists,
        name_members: NameMembers,
        strangers: LimitStrangers,
        *,
        limit: int,
    ) -> None:
        self._chats = chats
        self._memberships = memberships
        self._chat_lists = chat_lists
        self._name_members = name_members
        self._strangers = strangers
        self._limit = limit

    async def __call__(
        self, chat_id: str, user_ids: Sequence[str], added_by_id: str = ""
    ) -> tuple[Chat, list[Member]]:
        """The group afterwards and those who are new. ``added_by_id`` may be a stranger to them.

        Raises:
            ChatNotFound, WrongChatType, ChatFull, TooManyGroups: as named.
        """
        chat = await self._chats.find(chat_id)
        if chat is None:
            raise ChatNotFound
        if chat.type is not ChatType.GROUP:
            raise WrongChatType
        if chat.member_count + len(user_ids) > self._limit:
            known = await self._memberships.find_many([(chat_id, user_id) for user_id in user_ids])
            new = sum(membership.role is Role.NONE for membership in known)
            if chat.member_count + new > self._limit:
                raise ChatFull(self._limit)
        if added_by_id:
            await self._strangers.check(added_by_id, user_ids, chat_id)
        joined_at = now_ms()
        added = await self._memberships.add(
            chat_id,
            [Member(user_id, Role.MEMBER, joined_at) for user_id in user_ids],
            # What was said before is history to them, not a thousand unread messages.
            read_number=chat.head.number,
            added_by_id=added_by_id,
        )
        chat = await self._name_members(chat_id, change=len(added))
        await self._chat_lists.drop(user_ids)
        return chat, added
