"""Showing a stored chat as it stands now for one user."""

from collections.abc import Sequence
from dataclasses import replace

from chat_service.domain.model import Chat, ChatKind, Standing
from chat_service.ports import Presence, Store
from chat_service.use_cases.announcer import CHATS_PER_USER
from chat_service.use_cases.standings import Standings
from mesh.errors import ParleyError


class ChatViews:
    """Lays what Redis knows (last message, unread, who is there) over what the store has."""

    def __init__(self, standings: Standings, presence: Presence, store: Store) -> None:
        self._standings = standings
        self._presence = presence
        self._store = store

    async def one(self, user_id: str, chat: Chat) -> Chat:
        """The chat as the member sees it.

        Raises:
            PermissionDenied: NOT_A_MEMBER.
            Unavailable: Redis or the store is down.
        """
        standing = await self._standings.of_member(user_id, chat.id)
        (view,) = await self._with_presence(user_id, [_view(chat, standing)])
        return view

    async def get(self, user_id: str, chat_id: str) -> Chat:
        """One chat for a member; membership is checked before the store is asked for the chat.

        Raises:
            PermissionDenied: NOT_A_MEMBER.
            Unavailable: Redis or the store is down.
        """
        standing = await self._standings.of_member(user_id, chat_id)
        chat = await self._store.get_chat(chat_id)
        (view,) = await self._with_presence(user_id, [_view(chat, standing)])
        return view

    async def all_of(self, user_id: str) -> list[Chat]:
        """The user's chats, the last changed first.

        Raises:
            Unavailable: Redis or the store is down.
        """
        stored, _ = await self._store.list_chats(user_id, CHATS_PER_USER)
        standings = await self._standings.of(user_id, [item.chat.id for item in stored])
        views = [
            _view(item.chat, standing)
            for item, standing in zip(stored, standings, strict=True)
            # A chat that the cached list still has, and the user has left meanwhile.
            if not isinstance(standing, ParleyError)
        ]
        views.sort(key=lambda view: view.updated_at_ms, reverse=True)
        return await self._with_presence(user_id, views)

    async def _with_presence(self, user_id: str, views: Sequence[Chat]) -> list[Chat]:
        peers = {
            member.user_id
            for view in views
            if view.kind is ChatKind.DIRECT
            for member in view.members
            if member.user_id != user_id
        }
        online = set(await self._presence.online(list(peers))) if peers else set()
        return [
            replace(
                view, online_user_ids=tuple(item.user_id for item in view.members if item.user_id in online)
            )
            if view.kind is ChatKind.DIRECT
            else view
            for view in views
        ]


def _view(chat: Chat, standing: Standing) -> Chat:
    latest = standing.head.latest or chat.latest
    return replace(
        chat,
        latest=latest,
        updated_at_ms=max(chat.updated_at_ms, latest.timestamp_ms if latest else 0),
        member_count=standing.head.member_count or chat.member_count,
        seq=standing.head.seq,
        epoch=standing.head.epoch,
        unread=standing.unread,
        role=standing.role,
    )
