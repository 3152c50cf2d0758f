"""Telling others that a user came or went."""

from collections.abc import Sequence

from chat_service.domain.events import presence
from chat_service.domain.model import ChatKind, UserChat
from chat_service.ports.log import ChatLog
from chat_service.ports.store import Store
from mesh.clock import now_ms
from mesh.errors import Unavailable
from mesh.logs import get_logger

CHATS_PER_USER = 1_000  # listed at connect; `ListChats` has the rest
# Beyond these a presence change would cost more than it tells anyone.
_MOST_CHATS = 100
_MOST_MEMBERS = 100

_log = get_logger()


class Announcer:
    """Tells the users who share a chat with a user that the user came or went."""

    def __init__(self, log: ChatLog, store: Store) -> None:
        self._log = log
        self._store = store

    async def announce(self, user_id: str, *, online: bool) -> None:
        """Never raises for an outage: presence is best effort, and the next change corrects it."""
        try:
            listed = await self._store.list_chats(user_id, CHATS_PER_USER)
            await self.announce_in(user_id, listed.chats, online=online)
        except Unavailable as error:
            _log.info("chat.presence_not_published", dependency=error.dependency)

    async def announce_in(self, user_id: str, chats: Sequence[UserChat], *, online: bool) -> None:
        """As ``announce``, for chats that are at hand.

        Raises:
            Unavailable: Redis is down.
        """
        chat_ids = tuple(
            item.chat_id
            for item in chats
            if item.kind is ChatKind.DIRECT or item.member_count <= _MOST_MEMBERS
        )[:_MOST_CHATS]
        if chat_ids:
            await self._log.announce(presence(user_id, chat_ids, now_ms(), online=online))
