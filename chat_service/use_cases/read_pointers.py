"""Moving read pointers: where in the log somebody has read up to, and making that known and durable."""

from chat_service.domain.model import PointerMove, ReadPointer
from chat_service.ports.broker import Broker
from chat_service.ports.log import ChatLog, RecentLog
from mesh.clock import now_ms


class ReadPointers:
    """Shared by the use cases in which a member reads."""

    def __init__(self, log: ChatLog, recent: RecentLog, broker: Broker) -> None:
        self._log = log
        self._recent = recent
        self._broker = broker

    async def advance(self, user_id: str, chat_id: str, pointer: ReadPointer, message_id: str) -> ReadPointer:
        """Moves the pointer forward, never back; the pointer as it stands then. It is published if it moved.

        ``message_id`` is what it stands on, empty for the whole chat.

        Raises:
            Unavailable: Redis or RabbitMQ is down. It may be published; a repeat makes it durable.
        """
        moved = await self._log.advance_read(chat_id, user_id, pointer, message_id)
        await self._broker.move_pointers([PointerMove(chat_id, user_id, moved.at_ms, read=moved)])
        return moved

    async def advance_to(self, user_id: str, chat_id: str, seq: int) -> None:
        """As ``advance``, to a position, or to the head if that is beyond it.

        A position that the recent log no longer tells of moves nothing: whoever sends waits for no store.
        """
        kept = await self._recent.at(chat_id, seq)
        if kept is not None:
            at_seq, number, message_id = kept
            await self.advance(user_id, chat_id, ReadPointer(at_seq, number, now_ms()), message_id)
