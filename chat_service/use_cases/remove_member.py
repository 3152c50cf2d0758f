"""Removing a member from a group, and leaving one."""

from dataclasses import replace

from chat_service.domain import rules
from chat_service.domain.events import member_removed, with_promoted
from chat_service.domain.model import Chat, Role
from chat_service.ports.log import ChatLog
from chat_service.ports.store import Store
from chat_service.use_cases.membership_changes import MembershipChanges
from chat_service.use_cases.throttle import MEMBERS, Throttle
from chat_service.use_cases.views import ChatViews
from mesh.clock import now_ms
from mesh.errors import ParleyError, PermissionDenied, Unavailable


class RemoveMember:
    """Rights and live delivery end at once; the log tells the others."""

    def __init__(
        self, views: ChatViews, log: ChatLog, store: Store, changes: MembershipChanges, throttle: Throttle
    ) -> None:
        self._views = views
        self._log = log
        self._store = store
        self._changes = changes
        self._throttle = throttle

    async def __call__(self, actor_id: str, chat_id: str, member_id: str) -> None:
        """Removes ``member_id``; who is the actor leaves, and a last admin who leaves is succeeded.

        The chat and the member are notified. One who is no member is left as is.

        Raises:
            InvalidArgument: ``member_id`` is no user id.
            PermissionDenied: NOT_A_MEMBER (the actor), NOT_AN_ADMIN.
            FailedPrecondition: WRONG_CHAT_TYPE, LAST_ADMIN.
            ResourceExhausted: RATE_LIMITED; OVERLOADED, others keep changing the group.
            Unavailable: Redis or the store is down; whether it happened is found out, and published, later.
        """
        rules.check_user_id(member_id, "userId")
        rules.check_may_exist(chat_id)
        await self._throttle.check(MEMBERS, actor_id, price=rules.price_of((member_id,)))
        # Before the chat is held, so that outsiders make nobody wait; and once more while it is.
        try:
            await self._check(actor_id, chat_id, member_id)
        except PermissionDenied:
            if await self._changes.pends_removal(chat_id, actor_id):
                # Out by a call that broke off, and perhaps still delivered to.
                await self._changes.finish(chat_id)
            raise
        await self._changes.run(chat_id, lambda: self._remove(actor_id, chat_id, member_id))

    async def _remove(self, actor_id: str, chat_id: str, member_id: str) -> None:
        leaves = member_id == actor_id
        change = member_removed(chat_id, actor_id, member_id, now_ms())
        chat = await self._check(actor_id, chat_id, member_id)
        # Asked first: the answer to a repeated call would not tell whether there was anyone to remove.
        (before,) = await self._store.memberships([(chat_id, member_id)])
        if before.role is not Role.NONE:
            await self._changes.begin(change)
        await self._log.deny(chat_id, member_id)
        try:
            promoted_id = await self._changes.store(
                chat_id, lambda: self._store.remove_member(chat_id, member_id, promote_successor=leaves)
            )
        except ParleyError:
            # It did not happen, or nobody knows: the store decides when the member is asked about next.
            await self._log.forget_roles(chat_id, [member_id])
            raise
        await self._changes.end_delivery(change)
        if before.role is not Role.NONE:
            await self._changes.removed(await self._now(chat), with_promoted(change, promoted_id))

    async def _check(self, actor_id: str, chat_id: str, member_id: str) -> Chat:
        chat = await self._views.get(actor_id, chat_id)
        rules.check_is_group(chat.kind)
        if member_id != actor_id:
            rules.check_may_change_members(chat.role)
        return chat

    async def _now(self, before: Chat) -> Chat:
        try:
            return await self._store.get_chat(before.id)
        except Unavailable:
            # Who is a member now is not known, and who was may be none any more.
            return replace(before, members=(), member_count=max(0, before.member_count - 1))
