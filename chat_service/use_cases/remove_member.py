"""Removing a member from a group, and leaving one."""

from chat_service.domain import rules
from chat_service.domain.events import ChatRemoved, MemberRemoved
from chat_service.domain.model import Role
from chat_service.ports import ChatLog, Store, UserChannels
from chat_service.use_cases.membership_log import MembershipLog
from chat_service.use_cases.views import ChatViews
from mesh.errors import ParleyError


class RemoveMember:
    """Rights end at once, before the store hears of it; the log tells it after."""

    def __init__(
        self, views: ChatViews, log: ChatLog, store: Store, changes: MembershipLog, channels: UserChannels
    ) -> None:
        self._views = views
        self._log = log
        self._store = store
        self._changes = changes
        self._channels = channels

    async def __call__(self, actor_id: str, chat_id: str, member_id: str) -> None:
        """Removes ``member_id``; who is the actor leaves, and a last admin who leaves is succeeded.

        The chat and the member are told. One who is no member is left as is.

        Raises:
            InvalidArgument: ``member_id`` is no user id.
            PermissionDenied: NOT_A_MEMBER (the actor), NOT_AN_ADMIN.
            FailedPrecondition: WRONG_CHAT_TYPE, LAST_ADMIN.
            Unavailable: Redis or the store is down; a repeat completes what was begun.
        """
        rules.check_user_id(member_id, "userId")
        chat = await self._views.get(actor_id, chat_id)
        rules.check_is_group(chat.kind)
        leaves = member_id == actor_id
        if not leaves:
            rules.check_may_change_members(chat.role)
        await self._log.deny(chat_id, member_id)
        try:
            removed, promoted_id = await self._store.remove_member(
                chat_id, member_id, promote_successor=leaves
            )
        except ParleyError:
            # It did not happen, or nobody knows: the store decides when the member is asked about next.
            await self._log.forget_roles(chat_id, [member_id])
            raise
        if removed:
            roles = {member_id: Role.NONE}
            if promoted_id:
                roles[promoted_id] = Role.ADMIN
            await self._changes.record(
                chat_id, MemberRemoved(actor_id, member_id), roles, max(0, chat.member_count - 1)
            )
        # Also when there was nothing to remove: a repeat after an outage must still end the live delivery.
        await self._channels.tell({member_id: ChatRemoved(chat_id, actor_id)})
