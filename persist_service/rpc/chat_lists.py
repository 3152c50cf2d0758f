"""Answers ListChats, from the cache of encoded answers where there is one."""

from typing import Final, Protocol

from parley.persist.v1 import persist_service_pb2 as pb
from persist_service.codec import user_chat_to_proto
from persist_service.domain.chat_pages import ListCursor
from persist_service.metrics import CHAT_LISTS
from persist_service.rpc.cursors import list_cursor_text
from persist_service.use_cases.list_chats import ListChats

CHATS_PER_PAGE: Final = 1_000
"""The largest page, and the only size whose first page is cached: what a session opens with."""


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

    async def get(
        self, user_id: str, limit: int, cursor: ListCursor | None = None, *, fresh: bool = False
    ) -> pb.ListChatsResponse:
        """At most ``limit`` chats from the cursor on; ``fresh`` leaves the cache alone."""
        if fresh or cursor is not None or limit < CHATS_PER_PAGE:
            CHAT_LISTS.labels("no_cache").inc()
            return await self._read(user_id, limit, cursor)
        cached, lease = await self._cache.read(user_id)
        if cached is not None:
            CHAT_LISTS.labels("hit").inc()
            return pb.ListChatsResponse.FromString(cached)
        answer = await self._read(user_id, limit, None)
        if lease is not None:
            await self._cache.store(user_id, lease, answer.SerializeToString())
        CHAT_LISTS.labels("no_cache" if lease is None else "miss").inc()
        return answer

    async def _read(self, user_id: str, limit: int, cursor: ListCursor | None) -> pb.ListChatsResponse:
        page = await self._list_chats(user_id, limit, cursor)
        return pb.ListChatsResponse(
            chats=map(user_chat_to_proto, page.chats), next_cursor=list_cursor_text(page.next)
        )
