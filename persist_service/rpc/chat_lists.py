"""Answers ListChats, from the cache of encoded answers where there is one."""

from typing import Final

from mesh.clock import now_ms
from parley.persist.v1 import persist_service_pb2 as pb
from persist_service.codec import user_chat_to_proto
from persist_service.domain.chat_pages import ListCursor, UserChat, page_of
from persist_service.metrics import CHAT_LISTS
from persist_service.rpc.cursors import list_cursor_text
from persist_service.stores.all_stores import Stores

CHATS_PER_PAGE: Final = 1_000
"""The largest page, and the only size whose first page is cached: what a session opens with."""


async def list_chats(
    stores: Stores, user_id: str, limit: int, cursor: ListCursor | None, *, fresh: bool
) -> pb.ListChatsResponse:
    """At most ``limit`` chats from the cursor on, the last changed first, with the user's role and pointers.

    At most 300 s old if nothing changed; ``fresh`` leaves the cache alone.
    """
    if fresh or cursor is not None or limit < CHATS_PER_PAGE:
        CHAT_LISTS.labels("no_cache").inc()
        return await _read(stores, user_id, limit, cursor)
    cached, lease = await stores.chat_lists.read(user_id)
    if cached is not None:
        CHAT_LISTS.labels("hit").inc()
        return pb.ListChatsResponse.FromString(cached)
    answer = await _read(stores, user_id, limit, None)
    if lease is not None:
        await stores.chat_lists.store(user_id, lease, answer.SerializeToString())
    CHAT_LISTS.labels("no_cache" if lease is None else "miss").inc()
    return answer


async def _read(stores: Stores, user_id: str, limit: int, cursor: ListCursor | None) -> pb.ListChatsResponse:
    """Takes time in proportion to the user's chats, and reads a few numbers of each."""
    mine = {membership.chat_id: membership for membership in await stores.memberships.of_user(user_id)}
    states = await stores.chats.states(mine) if mine else []
    chats = (
        UserChat(state, own.role, own.read_seq, own.read_number)
        for state in states
        for own in (mine[state.chat_id],)
    )
    page = page_of(chats, cursor, limit, now_ms())
    return pb.ListChatsResponse(
        chats=map(user_chat_to_proto, page.chats), next_cursor=list_cursor_text(page.next)
    )
