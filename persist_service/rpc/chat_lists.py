"""Answers ListChats, from the cache of encoded answers where there is one."""

from typing import Protocol

from parley.persist.v1 import persist_service_pb2 as pb
from persist_service.codec import chat_to_proto, role_to_proto
from persist_service.domain.chats import UserChat
from persist_service.metrics import CHAT_LISTS
from persist_service.use_cases.list_chats import ListChats


class AnswerCache(Protocol):
    """Encoded answers by user. Neither method raises: without Redis there is no cache."""

    async def read(self, user_id: str) -> tuple[bytes | None, bytes | None]:
        """``(answer, None)`` on a hit; ``(None, lease)`` on a miss; else ``(None, None)``."""

    async def store(self, user_id: str, lease: bytes, answer: bytes) -> None:
        """Stores the answer unless the list was dropped since ``lease`` was given."""


class ChatListAnswers:
    """The answer for a user, at most 300 s old if nothing changed, else fresh."""

    def __init__(self, list_chats: ListChats, cache: AnswerCache) -> None:
        self._list_chats = list_chats
        self._cache = cache

    async def get(self, user_id: str, limit: int, *, fresh: bool = False) -> pb.ListChatsResponse:
        """At most ``limit`` chats; ``fresh`` leaves the cache alone."""
        cached, lease = (None, None) if fresh else await self._cache.read(user_id)
        if cached is not None:
            answer = pb.ListChatsResponse.FromString(cached)
            # Kept for a smaller limit, it may lack chats; for a larger one, it is cut.
            if len(answer.chats) >= limit or not answer.truncated:
                CHAT_LISTS.labels("hit").inc()
                return _cut(answer, limit)
        found = await self._list_chats(user_id, limit)
        answer = pb.ListChatsResponse(chats=map(_to_proto, found.chats), truncated=found.truncated)
        if lease is not None:
            await self._cache.store(user_id, lease, answer.SerializeToString())
        CHAT_LISTS.labels("no_cache" if lease is None else "miss").inc()
        return answer


def _cut(answer: pb.ListChatsResponse, limit: int) -> pb.ListChatsResponse:
    if len(answer.chats) > limit:
        del answer.chats[limit:]
        answer.truncated = True
    return answer


def _to_proto(mine: UserChat) -> pb.UserChat:
    chat = chat_to_proto(mine.chat)
    chat.role = role_to_proto(mine.role)
    return pb.UserChat(
        chat=chat,
        read_seq=mine.read_seq,
        read_number=mine.read_number,
        last_number=mine.chat.head.number,
    )
