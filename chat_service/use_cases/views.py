"""Showing a stored chat as it stands now for one user."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from chat_service.domain import rules
from chat_service.domain.model import (
    Chat,
    ChatKind,
    ChatPage,
    MemberPage,
    MembershipState,
    Role,
    UserChat,
)
from chat_service.ports.log import ChatLog
from chat_service.ports.sessions import Presence
from chat_service.ports.store import Store
from chat_service.use_cases.membership_states import MembershipStates
from chat_service.use_cases.throttle import Throttle
from contract import limits
from mesh.errors import ParleyError
from parley.common.v1.chat_pb2 import LatestMessage


class ChatViews:
    """Lays what Redis knows (last message, unread, who is there) over what the store has."""

    RATE_ACTION = "list"

    def __init__(
        self, states: MembershipStates, log: ChatLog, presence: Presence, store: Store, throttle: Throttle
    ) -> None:
        self._states = states
        self._log = log
        self._presence = presence
        self._store = store
        self._throttle = throttle

    async def one(self, user_id: str, chat: Chat) -> Chat:
        """The chat as the member sees it.

        Raises:
            PermissionDenied: NOT_A_MEMBER.
            Unavailable: Redis or the store is down.
        """
        state = await self._states.of_member(user_id, chat.id)
        (view,) = await self._with_news(user_id, [_live(chat, state)])
        return view

    async def get(self, user_id: str, chat_id: str) -> Chat:
        """One chat for a member; membership is checked before the store is asked for the chat.

        Raises:
            PermissionDenied: NOT_A_MEMBER.
            Unavailable: Redis or the store is down.
        """
        state = await self._states.of_member(user_id, chat_id)
        chat = await self._store.get_chat(chat_id)
        (view,) = await self._with_news(user_id, [_live(chat, state)])
        return view

    async def page(self, user_id: str, limit: int, cursor: str) -> ChatPage:
        """Some of the user's chats, the last changed first; ``limit`` 0 stands for 50.

        A chat whose log cannot be asked about now is shown as it is stored.

        Raises:
            InvalidArgument: the limit is out of its range, or the cursor is none.
            ResourceExhausted: RATE_LIMITED.
            Unavailable: Redis or the store is down.
        """
        limit = _page_limit(limit)
        await self._throttle.check(self.RATE_ACTION, user_id)
        listed = await self._store.list_chats(user_id, limit, cursor, fresh=True)
        if not listed.chats:
            return ChatPage((), listed.next_cursor)
        chat_ids = [item.chat_id for item in listed.chats]
        states, chats = await asyncio.gather(
            self._states.of(user_id, chat_ids), self._store.get_chats(chat_ids)
        )
        views = [
            _stored(chats[item.chat_id], item)
            if isinstance(state, ParleyError)
            else _live(chats[item.chat_id], state)
            for item, state in zip(listed.chats, states, strict=True)
            if item.chat_id in chats and not _has_left(state)
        ]
        views = await self._with_news(user_id, views)
        views.sort(key=lambda view: view.updated_at_ms, reverse=True)
        return ChatPage(tuple(views), listed.next_cursor)

    async def members(
        self, user_id: str, chat_id: str, role: Role | None, limit: int, cursor: str
    ) -> MemberPage:
        """Some of the members of a chat, for a member; ``limit`` 0 stands for 50.

        Raises:
            InvalidArgument: the limit is out of its range, or the cursor is none.
            PermissionDenied: NOT_A_MEMBER.
            Unavailable: Redis or the store is down.
        """
        limit = _page_limit(limit)
        await self._states.of_member(user_id, chat_id)
        return await self._store.list_members(chat_id, role, limit, cursor)

    async def _with_news(self, user_id: str, views: Sequence[Chat]) -> list[Chat]:
        """With the last messages, and with who is there in direct chats."""
        peers = {
            member.user_id
            for view in views
            if view.kind is ChatKind.DIRECT
            for member in view.members
            if member.user_id != user_id
        }
        latest = await self._log.latest([view.id for view in views])
        online = set(await self._presence.online(list(peers))) if peers else set()
        return [
            _with_latest(_with_online(view, online), last) for view, last in zip(views, latest, strict=True)
        ]


def _page_limit(limit: int) -> int:
    if limit > limits.PAGE_SIZE:
        raise rules.invalid(f"limit must be 1 to {limits.PAGE_SIZE}")
    return limit or limits.DEFAULT_PAGE_SIZE


def _has_left(state: MembershipState | ParleyError) -> bool:
    # Left since the store was asked. Any other error leaves it open: then the store is believed.
    return isinstance(state, ParleyError) and not state.retryable


def _live(chat: Chat, state: MembershipState) -> Chat:
    return replace(
        chat,
        member_count=state.head.member_count or chat.member_count,
        seq=state.head.seq,
        epoch=state.head.epoch,
        unread=state.unread,
        role=state.role,
    )


def _stored(chat: Chat, mine: UserChat) -> Chat:
    return replace(chat, unread=max(0, mine.last_number - mine.read.number), role=mine.role)


def _with_latest(view: Chat, latest: LatestMessage | None) -> Chat:
    if latest is None:
        return view
    return replace(view, latest=latest, updated_at_ms=max(view.updated_at_ms, latest.timestamp_ms))


def _with_online(view: Chat, online: set[str]) -> Chat:
    if view.kind is not ChatKind.DIRECT:
        return view
    return replace(
        view, online_user_ids=tuple(item.user_id for item in view.members if item.user_id in online)
    )
