"""What persist_service knows of unread messages."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from typing_extensions import override

from mesh.parts import parts
from notify_service.adapters.persist.answering import answering
from notify_service.content_types import content_type_of
from notify_service.email.digest import WaitingChat
from notify_service.email.ports import UnreadChats
from parley.common.v1.chat_pb2 import Chat, ChatType
from parley.persist.v1 import persist_service_pb2 as pb
from parley.persist.v1.persist_service_pb2_grpc import PersistServiceStub

IDEMPOTENT_CALLS: Final = tuple(
    f"parley.persist.v1.PersistService/{method}"
    for method in ("ListChats", "GetChats", "ListMessages", "GetUserNames")
)
"""What gRPC may repeat."""

_CHATS: Final = 500
_CHATS_PER_CALL: Final = 100  # the limit of GetChats


class PersistUnreadChats(UnreadChats):
    """The `UnreadChats` port. The channel behind the stub brings deadlines, retries and typed errors."""

    def __init__(self, stub: PersistServiceStub) -> None:
        self._stub = stub

    @override
    async def of_user(self, user_id: str) -> Sequence[WaitingChat]:
        with answering():
            answer = await self._stub.ListChats(
                pb.ListChatsRequest(user_id=user_id, limit=_CHATS, fresh=True)
            )
            waiting = {item.chat_id: item for item in answer.chats if item.last_number > item.read_number}
            chats: dict[str, Chat] = {}
            for some in parts(list(waiting), _CHATS_PER_CALL):
                shown = await self._stub.GetChats(pb.GetChatsRequest(chat_ids=some))
                chats.update((chat.id, chat) for chat in shown.chats if chat.HasField("latest_message"))
        return [
            _to_waiting(item, chats[chat_id], user_id)
            for chat_id, item in waiting.items()
            if chat_id in chats
        ]

    @override
    async def unread_since(self, chat: WaitingChat) -> int:
        """Message counts are dense, so it is the last one below the next count."""
        first = chat.first_unread_number
        with answering():
            answer = await self._stub.ListMessages(
                pb.ListMessagesRequest(chat_id=chat.chat_id, limit=1, before_number=first + 1)
            )
        return answer.messages[0].created_at_ms if answer.messages else chat.at_ms

    @override
    async def names(self, user_ids: Collection[str]) -> Mapping[str, str]:
        asked = sorted(user_ids)
        with answering():
            answer = await self._stub.GetUserNames(pb.GetUserNamesRequest(user_ids=asked))
        return {user_id: name for user_id, name in zip(asked, answer.names, strict=True) if name}


def _to_waiting(item: pb.UserChat, chat: Chat, user_id: str) -> WaitingChat:
    latest = chat.latest_message
    direct = chat.type == ChatType.CHAT_TYPE_DIRECT
    return WaitingChat(
        chat_id=chat.id,
        group_name=chat.name,
        peer_id=next((item.user_id for item in chat.members if item.user_id != user_id), "")
        if direct
        else "",
        unread=item.last_number - item.read_number,
        first_unread_number=item.read_number + 1,
        sender_id=latest.sender_id,
        content_type=content_type_of(latest.type),
        text=latest.text,
        at_ms=latest.timestamp_ms,
    )
