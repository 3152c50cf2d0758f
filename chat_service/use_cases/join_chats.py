"""A user joins chats, to receive what happens there."""

from collections.abc import Sequence

from chat_service.domain import rules
from chat_service.domain.model import MembershipState
from chat_service.use_cases.membership_states import MembershipStates
from chat_service.use_cases.throttle import JOIN, Throttle
from mesh.errors import ParleyError


class JoinChats:
    """A user joins chats, to receive what happens there."""

    def __init__(self, states: MembershipStates, throttle: Throttle) -> None:
        self._states = states
        self._throttle = throttle

    async def __call__(
        self, user_id: str, chat_ids: Sequence[str], *, by_user: bool
    ) -> list[MembershipState | ParleyError]:
        """Where each chat stands for the user, or why it cannot be joined. ``by_user``: the user named them.

        Raises:
            ResourceExhausted: RATE_LIMITED, the user named too many; nothing was asked.
            Unavailable: Redis is down.
        """
        if by_user:
            await self._throttle.check(JOIN, user_id, price=len(chat_ids) * rules.price_of((user_id,)))
        return await self._states.of(user_id, chat_ids)
