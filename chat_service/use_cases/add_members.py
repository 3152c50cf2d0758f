"""Adding members to a group."""

from collections.abc import Iterable
from dataclasses import replace

from chat_service.domain import rules
from chat_service.domain.events import ChatAdded, MembersAdded
from chat_service.domain.model import Chat, Role
from chat_service.ports import ChatLog, Store, UserChannels
from chat_service.use_cases.membership_log import MembershipLog
from chat_service.use_cases.views import ChatViews


class AddMembers:
    """Those who are members already are left as they are."""

    def __init__(
        self, views: ChatViews, log: ChatLog, store: Store, changes: MembershipLog, channels: UserChannels
    ) -> None:
        self._views = views
        self._log = log
        self._store = store
        self._changes = changes
        self._channels = channels

    async def __call__(self, user_id: str, chat_id: str, member_ids: Iterable[str]) -> tuple[Chat, list[str]]:
        """The group as the user sees it, and who is new in it. The chat and the new members are told.

        Raises:
            InvalidArgument: nobody is named, too many are, or one is no user id.
            PermissionDenied: NOT_A_MEMBER, NOT_AN_ADMIN.
            FailedPrecondition: WRONG_CHAT_TYPE, CHAT_FULL.
            Unavailable: Redis, RabbitMQ or the store is down; a repeat completes what was begun.
        """
        wanted = rules.check_member_ids(member_ids)
        if not wanted:
            raise rules.invalid("memberIds names nobody")
        before = await self._views.get(user_id, chat_id)
        rules.check_is_group(before.kind)
        invites = before.settings is not None and before.settings.allow_invites
        rules.check_may_change_members(before.role, invites=invites)
        chat, added = await self._store.add_members(chat_id, wanted)
        # A repeat after an outage finds everyone added, and perhaps an old answer about them in Redis.
        await self._log.forget_roles(chat_id, wanted)
        if added:
            roles = {member.user_id: member.role for member in added}
            await self._changes.record(chat_id, MembersAdded(user_id, added), roles, chat.member_count)
        view = await self._views.one(user_id, chat)
        news = ChatAdded(replace(view, role=Role.MEMBER, unread=0), user_id)
        # Edges ignore it for those who are in the room already.
        await self._channels.tell(dict.fromkeys(wanted, news))
        return view, [member.user_id for member in added]
