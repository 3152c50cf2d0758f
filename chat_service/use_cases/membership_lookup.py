"""Asking the store who is a member of what, where Redis does not know it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from chat_service.domain.model import Membership, ReadPointer, Role
from chat_service.ports.log import ChatLog
from chat_service.ports.members import NonMembers, Pair
from chat_service.ports.rates import RateLimiter
from chat_service.ports.store import Store
from mesh.errors import ParleyError, ResourceExhausted, Unavailable
from parley.common.v1.error_pb2 import ErrorReason

STRANGERS: Final = "strangers"
"""Asking about chats that one is no member of; those of which one is are free."""
_NOBODY: Final = Membership(Role.NONE, ReadPointer())


class MembershipLookup:
    """Whoever names chats that are not the own, or do not exist, pays for each question to the store.

    What the store said is remembered: of members with their chat, of others for a moment and in one bounded
    place per user, so that made-up ids leave nothing behind.
    """

    def __init__(self, log: ChatLog, non_members: NonMembers, store: Store, limiter: RateLimiter) -> None:
        self._log = log
        self._non_members = non_members
        self._store = store
        self._limiter = limiter

    async def ask(self, pairs: Sequence[Pair]) -> dict[Pair, Membership | ParleyError]:
        """What the users are in the chats, or RATE_LIMITED where they asked too much. Each pair once.

        Raises:
            Unavailable: Redis or the store is down.
        """
        answers: dict[Pair, Membership | ParleyError] = dict.fromkeys(
            await self._non_members.known(pairs), _NOBODY
        )
        pairs = await self._charge([pair for pair in pairs if pair not in answers], answers)
        if not pairs:
            return answers
        try:
            found = await self.load(pairs)
        except Unavailable:
            await self._limiter.give_back(STRANGERS, Counter(user_id for _, user_id in pairs))
            raise
        others = [pair for pair, item in found.items() if item.role is Role.NONE]
        if others:
            await self._non_members.remember(others)
        members = Counter(user_id for (_, user_id), item in found.items() if item.role is not Role.NONE)
        if members:
            await self._limiter.give_back(STRANGERS, members)
        return {**answers, **found}

    async def load(self, pairs: Sequence[Pair]) -> Mapping[Pair, Membership]:
        """The same of the store alone and for nothing: for users who are known to be members.

        Raises:
            Unavailable: Redis or the store is down.
        """
        found = dict(zip(pairs, await self._store.memberships(pairs), strict=True))
        members: dict[str, dict[str, Membership]] = {}
        for (chat_id, user_id), item in found.items():
            if item.role is not Role.NONE:
                members.setdefault(user_id, {})[chat_id] = item
        for user_id, memberships in members.items():
            await self._log.remember(user_id, memberships)
        return found

    async def _charge(
        self, pairs: Sequence[Pair], answers: dict[Pair, Membership | ParleyError]
    ) -> Sequence[Pair]:
        """Those that are paid for; ``answers`` gets the others."""
        if not pairs:
            return ()
        grants = await self._limiter.take(STRANGERS, Counter(user_id for _, user_id in pairs))
        paid: list[Pair] = []
        seen: Counter[str] = Counter()
        for pair in pairs:
            grant, place = grants[pair[1]], seen[pair[1]]
            seen[pair[1]] += 1
            if place < grant.count:
                paid.append(pair)
            else:
                answers[pair] = ResourceExhausted(
                    ErrorReason.ERROR_REASON_RATE_LIMITED,
                    "too many chats that you are no member of",
                    retry_after_ms=grant.retry_after_ms(place - grant.count),
                )
        return paid
