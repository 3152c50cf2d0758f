"""Chats and who is in them: direct chats, groups, and members who come and go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mesh.clock import now_ms
from persist_service.domain.chats import MEMBERS_LISTED, Chat, ChatType, Member, NewGroup, Role
from persist_service.errors import ChatFull, ChatNotFound, LastAdmin, TooManyGroups, WrongChatType
from persist_service.stores.all_stores import Stores

# Above this many members, counting all of them for each change costs more than the change.
_COUNTED_ANEW: Final = 1_000


@dataclass(frozen=True, slots=True)
class Groups:
    """Changes of chats; each may be repeated, and a repeat completes what a crash left half done.

    ``member_limit`` and ``stranger_limit`` (0: none) are checked before, without a lock: calls at the same
    moment may overshoot them by what they add. Cached chat lists are dropped for those who come and go alone:
    in those of others the count of members may be 300 s old.
    """

    stores: Stores
    member_limit: int
    stranger_limit: int

    async def create_direct(self, user_id: str, peer_id: str) -> tuple[Chat, bool]:
        """The direct chat of a pair, of which there is one, and whether it is new."""
        chat, created = await self.stores.chats.create_direct(user_id, peer_id, now_ms())
        if await self.stores.memberships.add(chat.id, chat.members):
            await self.stores.chat_lists.drop((user_id, peer_id))
        return chat, created

    async def create(self, group: NewGroup, *, strangers_limited: bool) -> Chat:
        """The group. Idempotent by its id; who left since then is not brought back by a repeat.

        Raises:
            WrongChatType: the id belongs to a direct chat.
            TooManyGroups: the maker may add one of the others to no more groups.
        """
        maker_id = group.members[0].user_id if strangers_limited else ""
        if maker_id:
            members = [member.user_id for member in group.members[1:]]
            await self._check_strangers(maker_id, members, group.chat_id)
        chat = await self.stores.chats.create_group(group, now_ms())
        if chat.type is not ChatType.GROUP:
            raise WrongChatType
        if chat.members_version > 0:
            return chat
        await self.stores.memberships.add(chat.id, group.members, added_by_id=maker_id)
        chat = await self._list_members(chat.id)
        await self.stores.chat_lists.drop(member.user_id for member in group.members)
        return chat

    async def add_members(
        self, chat_id: str, user_ids: Sequence[str], added_by_id: str = ""
    ) -> tuple[Chat, list[Member]]:
        """The group afterwards and those who are new. ``added_by_id`` may be a stranger to them.

        Raises:
            ChatNotFound, WrongChatType, ChatFull, TooManyGroups: as named.
        """
        memberships = self.stores.memberships
        chat = await self._find(chat_id)
        if chat.member_count + len(user_ids) > self.member_limit:
            known = await memberships.find_many([(chat_id, user_id) for user_id in user_ids])
            new = sum(membership.role is Role.NONE for membership in known)
            if chat.member_count + new > self.member_limit:
                raise ChatFull(self.member_limit)
        if added_by_id:
            await self._check_strangers(added_by_id, user_ids, chat_id)
        joined_at = now_ms()
        added = await memberships.add(
            chat_id,
            [Member(user_id, Role.MEMBER, joined_at) for user_id in user_ids],
            # What was said before is history to them, not a thousand unread messages.
            read_number=chat.head.number,
            added_by_id=added_by_id,
        )
        chat = await self._list_members(chat_id, change=len(added))
        await self.stores.chat_lists.drop(user_ids)
        return chat, added

    async def remove_member(self, chat_id: str, user_id: str, *, promote_successor: bool) -> tuple[bool, str]:
        """Whether the user was a member, and who became admin for it (empty: nobody).

        Raises:
            ChatNotFound, WrongChatType: as named.
            LastAdmin: the last admin goes, others stay, and no successor is wanted.
        """
        await self._find(chat_id)
        if not promote_successor and await self._is_last_admin(chat_id, user_id):
            raise LastAdmin
        removed = await self.stores.memberships.remove(chat_id, user_id)
        # After the removal and also on a repeat: so it holds when two admins leave at the same moment, and
        # when an earlier attempt got no further than the removal.
        promoted = await self._promote_successor(chat_id)
        await self._list_members(chat_id, change=-int(removed), left=user_id)
        await self.stores.chat_lists.drop({user_id, promoted} - {""})
        return removed, promoted

    async def _find(self, chat_id: str) -> Chat:
        chat = await self.stores.chats.find(chat_id)
        if chat is None:
            raise ChatNotFound
        if chat.type is not ChatType.GROUP:
            raise WrongChatType
        return chat

    async def _list_members(self, chat_id: str, *, change: int = 0, left: str = "") -> Chat:
        """Writes the first members, the count and the owner into the chat after a change; gives the chat.

        ``change`` members joined (or left, below 0), among them ``left``. The memberships are read again
        rather than the change applied, so a repeat heals what a crash left undone; an optimistic lock lets
        the later of two readers win. Only large groups add and subtract: there a crash may leave the count
        off by that change.
        """
        chats, memberships = self.stores.chats, self.stores.memberships
        while True:
            chat = await chats.find(chat_id)
            if chat is None:
                raise ChatNotFound
            if chat.member_count > _COUNTED_ANEW and not chat.lists(left) and left != chat.owner_id:
                updated = await chats.change_member_count(chat_id, change, now_ms()) if change else chat
            else:
                members, more = await memberships.page(chat_id, MEMBERS_LISTED)
                count = len(members) if more is None else await memberships.count(chat_id)
                owner_id = await self._owner(chat, members)
                updated = await chats.set_members(chat, members, count, owner_id, now_ms())
            if updated is not None:
                return updated

    async def _owner(self, chat: Chat, listed: Sequence[Member]) -> str:
        """Whoever owned the group, as long as that is an admin; then the admin who joined first."""
        memberships = self.stores.memberships
        role = next((member.role for member in listed if member.user_id == chat.owner_id), None)
        if role is None and chat.owner_id:
            [membership] = await memberships.find_many([(chat.id, chat.owner_id)])
            role = membership.role
        if role is Role.ADMIN:
            return chat.owner_id
        admins, _ = await memberships.page(chat.id, 1, role=Role.ADMIN)
        return admins[0].user_id if admins else ""

    async def _is_last_admin(self, chat_id: str, user_id: str) -> bool:
        memberships = self.stores.memberships
        [membership] = await memberships.find_many([(chat_id, user_id)])
        if membership.role is not Role.ADMIN:
            return False
        others_stay = len(await memberships.first(chat_id, 2)) > 1
        return others_stay and not await memberships.has_admin(chat_id, besides=user_id)

    async def _promote_successor(self, chat_id: str) -> str:
        """Who becomes admin of a group that has none; empty when it has one, or no members."""
        memberships = self.stores.memberships
        while not await memberships.has_admin(chat_id):
            longest = await memberships.first(chat_id, 1)
            if not longest:
                return ""
            if await memberships.set_role(chat_id, longest[0].user_id, Role.ADMIN):
                return longest[0].user_id
        return ""

    async def _check_strangers(self, actor_id: str, user_ids: Sequence[str], chat_id: str) -> None:
        """Protects users from strangers; members of the chat already are no matter.

        A user whom others added to ``stranger_limit`` groups, and who has read nothing there, is added by no
        stranger. No stranger is somebody in whose direct chat the user has read something: so who is flooded
        can still be reached by those who matter, and who floods cannot make acquaintance alone. The groups
        count until the user reads there or leaves. One query, and more for users at the limit alone.

        Raises:
            TooManyGroups: one of the users is at the limit, and the actor is a stranger.
        """
        others = [user_id for user_id in user_ids if user_id != actor_id]
        if not self.stranger_limit or not others:
            return
        unread = await self.stores.memberships.added_unread(others)
        full = {user_id for user_id, count in unread.items() if count >= self.stranger_limit}
        if full:
            known = await self.stores.memberships.find_many([(chat_id, user_id) for user_id in sorted(full)])
            pairs = zip(sorted(full), known, strict=True)
            full = {user_id for user_id, membership in pairs if membership.role is Role.NONE}
        if full:
            full -= await self._acquaintances(actor_id, sorted(full))
        for place, user_id in enumerate(user_ids):
            if user_id in full:
                raise TooManyGroups(place)

    async def _acquaintances(self, actor_id: str, user_ids: Sequence[str]) -> set[str]:
        direct = await self.stores.chats.direct(actor_id, user_ids)
        questions = [(chat_id, user_id) for user_id, chat_id in direct.items()]
        memberships = await self.stores.memberships.find_many(questions) if questions else []
        pairs = zip(questions, memberships, strict=True)
        return {user_id for (_, user_id), membership in pairs if membership.read_seq}
