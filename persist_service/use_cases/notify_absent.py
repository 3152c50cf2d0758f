"""Asks for notifications to the members who have no live connection."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from mesh.logs import get_logger
from persist_service.domain.chats import Chat
from persist_service.domain.log import Message
from persist_service.metrics import NOTIFICATIONS
from persist_service.ports import Chats, FollowUps, Memberships, Notification, Presence, Users

_PAGE: Final = 500
# Notifications kept in memory before they are sent: a large group times a large batch is many.
_HELD: Final = 5_000
_log = get_logger()


class NotifyAbsent:
    """Goes through the members of each chat once per batch, never telling a sender of its own message."""

    def __init__(
        self,
        *,
        users: Users,
        chats: Chats,
        memberships: Memberships,
        presence: Presence,
        follow_ups: FollowUps,
    ) -> None:
        self._users = users
        self._chats = chats
        self._memberships = memberships
        self._presence = presence
        self._follow_ups = follow_ups

    async def __call__(self, messages: Sequence[Message]) -> None:
        """Returns when all notifications are confirmed by the broker; raises ``Unavailable``."""
        by_chat: dict[str, list[Message]] = {}
        for message in messages:
            by_chat.setdefault(message.chat_id, []).append(message)
        chats = await self._chats.find_many(by_chat)
        names = await self._users.names({message.sender_id for message in messages})
        waiting: list[Notification] = []
        for chat_id, of_chat in by_chat.items():
            chat = chats.get(chat_id)
            if chat is None:
                _log.warning("notify.chat_unknown", chat_id=chat_id, messages=len(of_chat))
                continue
            async for absent in self._absent(chat):
                for message in of_chat:
                    name = names.get(message.sender_id, "")
                    waiting += [
                        Notification(user_id, message, chat, name)
                        for user_id in absent
                        if user_id != message.sender_id
                    ]
                    if len(waiting) >= _HELD:
                        await self._send(waiting)
                        waiting = []
        await self._send(waiting)

    async def _absent(self, chat: Chat) -> AsyncIterator[list[str]]:
        # Version 0: the group's making broke off before its members were listed in it.
        if chat.members_version > 0 and len(chat.members) >= chat.member_count:
            yield await self._presence.absent([member.user_id for member in chat.members])
            return
        async for page in self._memberships.user_ids(chat.id, _PAGE):
            yield await self._presence.absent(page)

    async def _send(self, notifications: Sequence[Notification]) -> None:
        if notifications:
            await self._follow_ups.notify(notifications)
            NOTIFICATIONS.inc(len(notifications))
