"""Tells notify_service of new messages, with everybody who may have to be told."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final

from mesh.logs import get_logger
from parley.common.v1.message_pb2 import Message
from persist_service.domain.chats import Chat
from persist_service.domain.log import LogEntry
from persist_service.domain.notifications import Activity, NewMessage, Notification, ReadUpTo, Recipient
from persist_service.metrics import NOTIFICATIONS
from persist_service.ports import Chats, FollowUps, Memberships, Presence, Users

_PAGE: Final = 500
# The members of chats up to this size are read together, for all chats of a batch at once.
_SMALL: Final = 100
# Recipients kept in memory before they are sent: a large group times a large batch is many.
_HELD: Final = 5_000
_log = get_logger()


class NotifyMembers:
    """Goes through the members of each chat once per batch, never telling a sender of its own message.

    All other members are named, with their last activity, and not only those without a connection: who is
    told is decided later, and the ledger must be able to answer for those as well who were busy.
    """

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

    async def __call__(self, entries: Sequence[LogEntry], read: Sequence[ReadUpTo]) -> None:
        """Tells of the messages among the entries, and of ``read``.

        Returns when everything is confirmed by the broker; raises ``Unavailable``.
        """
        held: list[Notification] = []
        recipients = 0
        async for notification in self._notifications(entries, read):
            held.append(notification)
            recipients += _named(notification)
            if recipients >= _HELD:
                await self._send(held)
                held, recipients = [], 0
        await self._send(held)

    async def _notifications(
        self, entries: Sequence[LogEntry], read: Sequence[ReadUpTo]
    ) -> AsyncIterator[Notification]:
        by_chat: dict[str, list[tuple[Message, str]]] = {}
        senders: set[str] = set()
        for entry in entries:
            if (message := entry.projection.message) is not None:
                by_chat.setdefault(message.chat_id, []).append((message, entry.traceparent))
                senders.add(message.sender_id)
        chats, names = await asyncio.gather(self._chats.find_many(by_chat), self._users.names(senders))
        for chat_id in by_chat.keys() - chats.keys():
            _log.warning("notify.chat_unknown", chat_id=chat_id, messages=len(by_chat[chat_id]))
        listed = {chat.id: [m.user_id for m in chat.members] for chat in chats.values() if _lists_all(chat)}
        small = {chat.id for chat in chats.values() if 0 < chat.member_count <= _SMALL} - listed.keys()
        listed |= await self._memberships.user_ids_of(small)
        active = await self._presence.last_active({user for members in listed.values() for user in members})
        for chat_id, members in listed.items():
            for notification in _of_page(chats[chat_id], by_chat[chat_id], names, members, active):
                yield notification
        for moved in read:
            yield moved
        # Last, since they take their time.
        for chat in (chat for chat in chats.values() if chat.id not in listed):
            async for page in self._memberships.user_ids(chat.id, _PAGE):
                page_active = await self._presence.last_active(page)
                for notification in _of_page(chat, by_chat[chat.id], names, page, page_active):
                    yield notification

    async def _send(self, notifications: Sequence[Notification]) -> None:
        if notifications:
            await self._follow_ups.notify(notifications)
            NOTIFICATIONS.inc(sum(map(_named, notifications)))


def _named(notification: Notification) -> int:
    return len(notification.recipients) if isinstance(notification, NewMessage) else 0


def _lists_all(chat: Chat) -> bool:
    # Version 0: the group's making broke off before its members were named in it.
    return chat.members_version > 0 and len(chat.members) >= chat.member_count


def _of_page(
    chat: Chat,
    messages: Sequence[tuple[Message, str]],
    names: Mapping[str, str],
    user_ids: Sequence[str],
    active: Mapping[str, Activity],
) -> Iterator[NewMessage]:
    members = [Recipient(user_id, active.get(user_id, Activity())) for user_id in user_ids]
    for message, traceparent in messages:
        sender_id = message.sender_id
        recipients = tuple(member for member in members if member.user_id != sender_id)
        if recipients:
            yield NewMessage(message, traceparent, chat, names.get(sender_id, ""), recipients)
