"""A member types, or stopped."""

from chat_service.domain import rules
from chat_service.domain.events import typing
from chat_service.ports.log import ChatLog
from chat_service.use_cases.membership_states import MembershipStates
from chat_service.use_cases.throttle import Throttle
from mesh.clock import now_ms


class SetTyping:
    """A member types, or stopped."""

    RATE_ACTION = "typing"

    def __init__(self, states: MembershipStates, log: ChatLog, throttle: Throttle) -> None:
        self._states = states
        self._log = log
        self._throttle = throttle

    async def __call__(self, user_id: str, chat_id: str, connection_id: str, *, is_typing: bool) -> None:
        """Announces it, unless the same was announced a moment ago, or the user types on another connection.

        Raises:
            InvalidArgument: ``connection_id`` is too long.
            PermissionDenied: NOT_A_MEMBER.
            ResourceExhausted: RATE_LIMITED.
            Unavailable: Redis is down.
        """
        rules.check_connection_id(connection_id)
        rules.check_may_exist(chat_id)
        await self._throttle.check(self.RATE_ACTION, user_id)
        await self._states.of_member(user_id, chat_id)
        if await self._log.mark_typing(chat_id, user_id, connection_id, is_typing=is_typing):
            await self._log.announce([typing(chat_id, user_id, now_ms(), is_typing=is_typing)])
