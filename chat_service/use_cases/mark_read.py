"""A member read up to a message, or the whole chat."""

from chat_service.domain.model import PointerMove, ReadPointer
from chat_service.ports import Broker, ChatLog, Store
from chat_service.use_cases.standings import Standings
from chat_service.use_cases.throttle import Throttle
from mesh.clock import now_ms


class MarkRead:
    """A member read up to a message, or the whole chat."""

    RATE_ACTION = "read"

    def __init__(
        self, standings: Standings, log: ChatLog, broker: Broker, store: Store, throttle: Throttle
    ) -> None:
        self._standings = standings
        self._log = log
        self._broker = broker
        self._store = store
        self._throttle = throttle

    async def __call__(self, user_id: str, chat_id: str, message_id: str) -> tuple[ReadPointer, int]:
        """The pointer as it stands then, and the messages after it. No ``message_id`` marks the whole chat.

        The chat is told live also when the broker is down: then this raises, and a repeat makes it durable.

        Raises:
            PermissionDenied: NOT_A_MEMBER.
            NotFound: MESSAGE_NOT_FOUND.
            ResourceExhausted: RATE_LIMITED.
            Unavailable: Redis, RabbitMQ or the store is down.
        """
        await self._throttle.check(self.RATE_ACTION, user_id)
        standing = await self._standings.of_member(user_id, chat_id)
        head = standing.head
        seq, number = await self._find(chat_id, message_id) if message_id else (head.seq, head.number)
        wanted = ReadPointer(seq, number, now_ms())
        pointer = await self._log.advance_read(chat_id, user_id, wanted, message_id)
        await self._broker.move_pointers([PointerMove(chat_id, user_id, pointer.at_ms, read=pointer)])
        return pointer, max(0, head.number - pointer.number)

    async def _find(self, chat_id: str, message_id: str) -> tuple[int, int]:
        # What is being read is nearly always among the newest messages, and may not be stored yet.
        for message in reversed(await self._log.recent(chat_id)):
            if message.id == message_id:
                return message.seq, message.number
        stored = await self._store.get_message(chat_id, message_id)
        return stored.seq, stored.number
