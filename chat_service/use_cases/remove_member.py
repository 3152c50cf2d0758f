"""Removing a member from a group, and leaving one."""

from dataclasses import replace

from chat_service.domain import rules
from chat_service.domain.events import MemberRemoved
from chat_service.domain.model import Chat, Role
from chat_service.ports import ChatLog, Store
from chat_service.use_cases.membership_changes import MembershipChanges
from chat_service.use_cases.views import ChatViews
from mesh.errors import ParleyError, PermissionDenied, Unavailable


class RemoveMember:
    """Rights and live delivery end at once; the log tells the others."""

    def __init__(self, views: ChatViews, log: ChatLog, store: Store, changes: MembershipChanges) -> None:
        self._views = views
        self._log = log
        self._store = store
        self._changes = changes

    async def __call__(self, actor_id: str, chat_id: str, member_id: str) -> None:
        """Removes ``member_id``; who is the actor leaves, and a last admin who leaves is succeeded.

        The chat and the member are told. One who is no member is left as is.

        Raises:
            InvalidArgument: ``member_id`` is no user id.
            PermissionDenied: NOT_A_MEMBER (the actor), NOT_AN_ADMIN.
            FailedPrecondition: WRONG_CHAT_TYPE, LAST_ADMIN.
            ResourceExhausted: OVERLOADED, others keep changing the group.
            Unavailable: Redis or the store is down; whether it happened is found out, and told, later.
        """
        rules.check_user_id(member_id, "userId")
        await self._changes.run(chat_id, lambda: self._remove(actor_id, chat_id, member_id))

    async def _remove(self, actor_id: str, chat_id: str, member_id: str) -> None:
        leaves = member_id == actor_id
        change = MemberRemoved(actor_id, member_id)
        try:
            chat = await self._views.get(actor_id, chat_id)
        except PermissionDenied:
            if leaves:
                # Left before, perhaps by a call whose answer was lost: end what may still be delivered.
                await self._changes.end_delivery(chat_id, change)
            raise
        rules.check_is_group(chat.kind)
        if not leaves:
            rules.check_may_change_members(chat.role)
        # Asked first: the answer to a repeated call would not tell whether there was anyone to remove.
        (before,) = await self._store.memberships([(chat_id, member_id)])
        if before.role is not Role.NONE:
            await self._changes.begin(chat_id, change)
        await self._log.deny(chat_id, member_id)
        try:
            promoted_id = await self._changes.store(
                chat_id, lambda: self._store.remove_member(chat_id, member_id, promote_successor=leaves)
            )
        except ParleyError:
            # It did not happen, or nobody knows: the store decides when the member is asked about next.
            await self._log.forget_roles(chat_id, [member_id])
            raise
        await self._changes.end_delivery(chat_id, change)
        if before.role is not Role.NONE:
            await self._changes.removed(await self._now(chat), replace(change, promoted_id=promoted_id))

    async def _now(self, before: Chat) -> Chat:
        try:
            return await self._store.get_chat(before.id)
        except Unavailable:
            # Who is a member now is not known, and who was may be none any more.
            return replace(before, members=(), member_count=max(0, before.member_count - 1))
