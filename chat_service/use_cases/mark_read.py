"""A member read up to a message, or the whole chat."""

from chat_service.domain import rules
from chat_service.domain.model import Head, ReadPointer
from chat_service.ports.log import RecentLog
from chat_service.ports.store import Store
from chat_service.use_cases.membership_states import MembershipStates
from chat_service.use_cases.read_pointers import ReadPointers
from chat_service.use_cases.throttle import Throttle
from mesh.clock import now_ms
from mesh.errors import NotFound, Unavailable
from parley.common.v1.message_pb2 import Message


class MarkRead:
    """A member read up to a message, or the whole chat."""

    RATE_ACTION = "read"

    def __init__(
        self,
        states: MembershipStates,
        read_pointers: ReadPointers,
        recent: RecentLog,
        store: Store,
        throttle: Throttle,
    ) -> None:
        self._states = states
        self._read_pointers = read_pointers
        self._recent = recent
        self._store = store
        self._throttle = throttle

    async def __call__(self, user_id: str, chat_id: str, message_id: str) -> tuple[ReadPointer, int]:
        """The pointer as it stands then, and the messages after it. No ``message_id`` marks the whole chat.

        It is published also when the broker is down: then this raises, and a repeat makes it durable.

        Raises:
            PermissionDenied: NOT_A_MEMBER.
            NotFound: MESSAGE_NOT_FOUND.
            ResourceExhausted: RATE_LIMITED.
            Unavailable: Redis, RabbitMQ or the store is down.
        """
        rules.check_may_exist(chat_id)
        await self._throttle.check(self.RATE_ACTION, user_id)
        head = (await self._states.of_member(user_id, chat_id)).head
        place: Message | Head = await self._find(user_id, chat_id, message_id) if message_id else head
        wanted = ReadPointer(place.seq, place.number, now_ms())
        pointer = await self._read_pointers.advance(user_id, chat_id, wanted, message_id)
        return pointer, max(0, head.number - pointer.number)

    async def _find(self, user_id: str, chat_id: str, message_id: str) -> Message:
        # What is being read is nearly always among the newest messages, and may not be stored yet.
        found = await self._recent.find_latest(chat_id, message_id)
        if found is not None:
            return found
        try:
            return await self._store.get_message(chat_id, message_id)
        except (NotFound, Unavailable):
            # It may wait to be stored. To look through the whole recent log costs more, so it is paid again.
            await self._throttle.check(self.RATE_ACTION, user_id)
            found = await self._recent.find(chat_id, message_id)
            if found is None:
                raise
            return found
