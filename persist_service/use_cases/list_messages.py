"""Pages backwards through a chat's messages."""

from parley.common.v1.message_pb2 import Message
from persist_service.ports import Chats, Messages


class ListMessages:
    """By position, by count of messages, or from the end."""

    def __init__(self, chats: Chats, messages: Messages) -> None:
        self._chats = chats
        self._messages = messages

    async def __call__(
        self, chat_id: str, *, limit: int, before_seq: int, before_number: int
    ) -> list[Message]:
        """Up to ``limit`` messages below both bounds (0: no bound), the last first.

        A chat that does not exist has none.
        """
        if before_seq or before_number:
            return await self._messages.before(chat_id, limit, seq=before_seq, number=before_number)
        heads = await self._chats.heads([chat_id])
        return await self._messages.last(chat_id, limit, head_seq=heads[0][0].seq) if heads else []
