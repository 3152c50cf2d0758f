"""What persist_service knows of the last messages of chats."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from typing_extensions import override

from mesh.parts import parts
from notify_service.adapters.persist.answering import answering
from notify_service.content_types import content_type_of
from notify_service.domain.notification import Message
from notify_service.inbox.activity_ports import RecentMessages
from parley.common.v1 import message_pb2
from parley.common.v1.chat_pb2 import Chat, ChatType
from parley.persist.v1 import persist_service_pb2 as pb
from parley.persist.v1.persist_service_pb2_grpc import PersistServiceStub

IDEMPOTENT_CALLS: Final = tuple(
    f"parley.persist.v1.PersistService/{method}" for method in ("GetChats", "ListMessages", "GetUserNames")
)
"""What gRPC may repeat."""

_MESSAGES: Final = 20
"""What one push names and judges of a chat; its count goes further."""
_CHATS_PER_CALL: Final = 100
_NAMES_PER_CALL: Final = 1_000
_AT_ONCE: Final = 8


class PersistRecentMessages(RecentMessages):
    """The `RecentMessages` port. The channel behind the stub brings deadlines, retries and typed errors."""

    def __init__(self, stub: PersistServiceStub) -> None:
        self._stub = stub

    @override
    async def of_chats(self, chat_ids: Collection[str]) -> Mapping[str, Sequence[Message]]:
        """One call per chat, and a few for all of them."""
        chats: dict[str, Chat] = {}
        for some in parts(sorted(chat_ids), _CHATS_PER_CALL):
            with answering():
                answer = await self._stub.GetChats(pb.GetChatsRequest(chat_ids=some))
            chats.update((chat.id, chat) for chat in answer.chats)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def last_of(chat_id: str) -> Sequence[message_pb2.Message]:
            async with slots:
                with answering():
                    answer = await self._stub.ListMessages(
                        pb.ListMessagesRequest(chat_id=chat_id, limit=_MESSAGES)
                    )
            return answer.messages

        found = dict(zip(chats, await asyncio.gather(*map(last_of, chats)), strict=True))
        names = await self._names({message.sender_id for messages in found.values() for message in messages})
        return {
            chat_id: [_to_message(message, chats[chat_id], names) for message in messages]
            for chat_id, messages in found.items()
        }

    async def _names(self, user_ids: Collection[str]) -> Mapping[str, str]:
        names: dict[str, str] = {}
        for some in parts(sorted(user_ids), _NAMES_PER_CALL):
            with answering():
                answer = await self._stub.GetUserNames(pb.GetUserNamesRequest(user_ids=some))
            names.update(zip(some, answer.names, strict=True))
        return names


def _to_message(message: message_pb2.Message, chat: Chat, names: Mapping[str, str]) -> Message:
    return Message(
        id=message.id,
        chat_id=chat.id,
        seq=message.seq,
        sender_id=message.sender_id,
        content=message.content,
        created_at_ms=message.created_at_ms,
        content_type=content_type_of(message.type),
        sender_name=names.get(message.sender_id, ""),
        chat_name=chat.name,
        direct=chat.type == ChatType.CHAT_TYPE_DIRECT,
        mentions=frozenset(message.mentions),
    )
