"""Protects users from strangers who add them to groups."""

from collections.abc import Sequence

from persist_service.domain.chats import Role
from persist_service.errors import TooManyGroups
from persist_service.ports import Chats, Memberships


class LimitStrangers:
    """A user whom others added to ``limit`` groups, and who has read nothing there, is added by no stranger.

    No stranger is somebody in whose direct chat the user has read something: so who is flooded can still be
    reached by those who matter, and who floods cannot make acquaintance alone. The groups count until the
    user reads there or leaves. Checked before, without a lock: calls at the same moment may overshoot the
    limit by what they add. One query, and more for users at the limit alone; ``limit`` 0 protects nobody.
    """

    def __init__(self, chats: Chats, memberships: Memberships, *, limit: int) -> None:
        self._chats = chats
        self._memberships = memberships
        self._limit = limit

    async def check(self, actor_id: str, user_ids: Sequence[str], chat_id: str = "") -> None:
        """Returns when the actor may add all of the users; members of the chat already are no matter.

        Raises:
            TooManyGroups: one of them is at the limit, and the actor is a stranger.
            Unavailable: the store is down.
        """
        others = [user_id for user_id in user_ids if user_id != actor_id]
        if not self._limit or not others:
            return
        unread = await self._memberships.added_unread(others)
        full = {user_id for user_id, count in unread.items() if count >= self._limit}
        if full and chat_id:
            known = await self._memberships.find_many([(chat_id, user_id) for user_id in sorted(full)])
            pairs = zip(sorted(full), known, strict=True)
            full = {user_id for user_id, membership in pairs if membership.role is Role.NONE}
        if full:
            full -= await self._acquaintances(actor_id, sorted(full))
        for place, user_id in enumerate(user_ids):
            if user_id in full:
                raise TooManyGroups(place)

    async def _acquaintances(self, actor_id: str, user_ids: Sequence[str]) -> set[str]:
        direct = await self._chats.direct(actor_id, user_ids)
        questions = [(chat_id, user_id) for user_id, chat_id in direct.items()]
        memberships = await self._memberships.find_many(questions) if questions else []
        pairs = zip(questions, memberships, strict=True)
        return {user_id for (_, user_id), membership in pairs if membership.read_seq}
