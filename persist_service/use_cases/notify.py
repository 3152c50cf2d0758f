"""Passing new messages on to notify_service, with everybody who may have to be notified."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final

from mesh.logs import get_logger
from parley.common.v1.message_pb2 import Message
from persist_service.domain.chats import Chat
from persist_service.domain.log import LogEntry
from persist_service.domain.notifications import Activity, NewMessage, Notification, ReadUpTo, Recipient
from persist_service.metrics import NOTIFICATIONS
from persist_service.ports import FollowUps
from persist_service.stores.all_stores import Stores

_PAGE: Final = 500
# The members of chats up to this size are read together, for all chats of a batch at once.
_SMALL: Final = 100
# Recipients kept in memory before they are sent: a large group times a large batch is many.
_HELD: Final = 5_000
_log = get_logger()


async def notify_members(
    stores: Stores, follow_ups: FollowUps, entries: Sequence[LogEntry], read: Sequence[ReadUpTo]
) -> None:
    """Notifies of the messages among the entries, a sender never of its own, and of ``read``.

    Goes through the members of each chat once per batch. All other members are named, with their last
    activity, and not only those without a connection: who is notified is decided later, and the ledger must
    be able to answer for those as well who were busy.

    Returns when everything is confirmed by the broker; raises ``Unavailable``.
    """
    held: list[Notification] = []
    recipients = 0
    async for notification in _notifications(stores, entries, read):
        held.append(notification)
        recipients += _named(notification)
        if recipients >= _HELD:
            await _send(follow_ups, held)
            held, recipients = [], 0
    await _send(follow_ups, held)


async def _notifications(
    stores: Stores, entries: Sequence[LogEntry], read: Sequence[ReadUpTo]
) -> AsyncIterator[Notification]:
    by_chat: dict[str, list[tuple[Message, str]]] = {}
    senders: set[str] = set()
    for entry in entries:
        if (message := entry.projection.message) is not None:
            by_chat.setdefault(message.chat_id, []).append((message, entry.traceparent))
            senders.add(message.sender_id)
    chats, names = await asyncio.gather(stores.chats.find_many(by_chat), stores.users.names(senders))
    for chat_id in by_chat.keys() - chats.keys():
        _log.warning("notify.chat_unknown", chat_id=chat_id, messages=len(by_chat[chat_id]))
    listed = {chat.id: [m.user_id for m in chat.members] for chat in chats.values() if _lists_all(chat)}
    small = {chat.id for chat in chats.values() if 0 < chat.member_count <= _SMALL} - listed.keys()
    listed |= await stores.memberships.user_ids_of(small)
    active = await stores.presence.last_active({user for members in listed.values() for user in members})
    for chat_id, members in listed.items():
        for notification in _of_page(chats[chat_id], by_chat[chat_id], names, members, active):
            yield notification
    for moved in read:
        yield moved
    # Last, since they take their time.
    for chat in (chat for chat in chats.values() if chat.id not in listed):
        async for page in stores.memberships.user_ids(chat.id, _PAGE):
            page_active = await stores.presence.last_active(page)
            for notification in _of_page(chat, by_chat[chat.id], names, page, page_active):
                yield notification


async def _send(follow_ups: FollowUps, notifications: Sequence[Notification]) -> None:
    if notifications:
        await follow_ups.notify(notifications)
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
