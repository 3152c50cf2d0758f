"""Adding members to a group."""

from collections.abc import Iterable, Sequence

from chat_service.domain import rules
from chat_service.domain.events import members_added
from chat_service.domain.model import Chat, Member, Role
from chat_service.ports.log import ChatLog
from chat_service.ports.store import Store
from chat_service.use_cases.membership_changes import MembershipChanges
from chat_service.use_cases.throttle import MEMBERS, Throttle
from chat_service.use_cases.views import ChatViews
from mesh.clock import now_ms


class AddMembers:
    """Those who are members already are left as they are."""

    def __init__(
        self, views: ChatViews, log: ChatLog, store: Store, changes: MembershipChanges, throttle: Throttle
    ) -> None:
        self._views = views
        self._log = log
        self._store = store
        self._changes = changes
        self._throttle = throttle

    async def __call__(
        self, user_id: str, chat_id: str, member_ids: Iterable[str], *, strangers_limited: bool
    ) -> tuple[Chat, list[str]]:
        """The group as the user sees it, and who is new in it. The chat and the new members are notified.

        ``strangers_limited``: those who are added are protected from the user.

        Raises:
            InvalidArgument: nobody is named, too many are, or one is no user id.
            PermissionDenied: NOT_A_MEMBER, NOT_AN_ADMIN.
            FailedPrecondition: WRONG_CHAT_TYPE, CHAT_FULL, TOO_MANY_GROUPS.
            ResourceExhausted: RATE_LIMITED; OVERLOADED, others keep changing the group.
            Unavailable: Redis or the store is down; whether it happened is found out, and published, later.
        """
        wanted = rules.check_member_ids(member_ids)
        if not wanted:
            raise rules.invalid("memberIds names nobody")
        rules.check_may_exist(chat_id)
        await self._throttle.check(MEMBERS, user_id, price=rules.price_of(wanted))
        # Before the chat is held, so that outsiders make nobody wait; and once more while it is.
        await self._check(user_id, chat_id)
        added_by_id = user_id if strangers_limited else ""
        return await self._changes.run(chat_id, lambda: self._add(user_id, chat_id, wanted, added_by_id))

    async def _add(
        self, user_id: str, chat_id: str, wanted: Sequence[str], added_by_id: str
    ) -> tuple[Chat, list[str]]:
        await self._check(user_id, chat_id)
        # Asked first: the answer to a repeated call would not tell who is new.
        pairs = [(chat_id, member_id) for member_id in wanted]
        stored = await self._store.memberships(pairs)
        new = [user for user, item in zip(wanted, stored, strict=True) if item.role is Role.NONE]
        at_ms = now_ms()
        members = (Member(user, Role.MEMBER, at_ms) for user in new)
        change = members_added(chat_id, user_id, members, at_ms)
        if new:
            await self._changes.begin(change)
        try:
            chat = await self._changes.store(
                chat_id, lambda: self._store.add_members(chat_id, wanted, added_by_id)
            )
        finally:
            # Whatever came of it, an old "no member" in Redis is worth nothing now.
            await self._log.forget_roles(chat_id, wanted)
        return await self._changes.added(chat, change, user_id), new

    async def _check(self, user_id: str, chat_id: str) -> None:
        chat = await self._views.get(user_id, chat_id)
        rules.check_is_group(chat.kind)
        invites = chat.settings is not None and chat.settings.allow_invites
        rules.check_may_change_members(chat.role, invites=invites)
