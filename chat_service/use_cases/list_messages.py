"""Paging backwards through a chat: the recent log first, the store for what is older."""

from collections.abc import Sequence
from dataclasses import replace

from chat_service.domain import rules
from chat_service.domain.history import Page, derive, possible_gaps
from chat_service.domain.model import Head, MemberPointers, MembershipState
from chat_service.ports.log import ChatLog, RecentLog
from chat_service.ports.store import Store
from chat_service.use_cases.history_gaps import check_gaps
from chat_service.use_cases.membership_states import MembershipStates
from contract import limits
from mesh.errors import Unavailable
from parley.common.v1.message_pb2 import Message

# Above this many members, who has read what is not shown with each message: too much work for what it tells.
RECEIPTS_MEMBER_LIMIT = 100


class ListMessages:
    """One page of history for a member."""

    def __init__(self, states: MembershipStates, log: ChatLog, recent: RecentLog, store: Store) -> None:
        self._states = states
        self._log = log
        self._recent = recent
        self._store = store

    async def __call__(self, user_id: str, chat_id: str, limit: int, before_seq: int, page: int) -> Page:
        """The oldest first. ``limit`` 0 stands for 50; ``page`` counts from 1, 0 when ``before_seq`` is used.

        What the recent log holds is served without the store, also while that is down.

        Raises:
            InvalidArgument: a number is out of its range, or both ways to page are used.
            PermissionDenied: NOT_A_MEMBER.
            Unavailable: Redis is down; the store is down or behind, and the page goes beyond the recent log.
        """
        limit = limit or limits.DEFAULT_PAGE_SIZE
        if limit > limits.PAGE_SIZE:
            raise rules.invalid(f"limit must be 1 to {limits.PAGE_SIZE}")
        if page > limits.PAGES:
            raise rules.invalid(f"page must be 1 to {limits.PAGES}; page with before instead")
        if page and before_seq:
            raise rules.invalid("page and before cannot be used together")
        state = await self._states.of_member(user_id, chat_id)
        # Numbers are dense, so a page is a range of them.
        before_number = state.head.number - (page - 1) * limit + 1 if page > 1 else 0
        if before_number < 0 or (page > 1 and before_number <= 1):
            return Page((), has_more=False)
        # One more than asked for tells whether there are older ones.
        found = await self._newest(state, limit + 1, before_seq, before_number)
        messages = tuple(reversed(found[:limit]))
        pointers = await self._pointers(state)
        return Page(tuple(derive(message, pointers) for message in messages), has_more=len(found) > limit)

    async def _newest(
        self, state: MembershipState, count: int, before_seq: int, before_number: int
    ) -> Sequence[Message]:
        """The newest first."""
        chat_id, head = state.chat_id, state.head
        if head.number == 0:
            return ()
        recent = await self._recent.newest(
            chat_id,
            count,
            below_seq=before_seq,
            below_number=before_number,
            # Entries that are no messages only ever move a message further up.
            upto_seq=head.seq - head.number + before_number - 1 if before_number else 0,
        )
        fitting = recent.messages
        if len(fitting) >= count or recent.whole:
            return fitting
        older = await self._store.list_messages(
            chat_id,
            count - len(fitting),
            before_seq=fitting[-1].seq if fitting else before_seq,
            before_number=0 if fitting else before_number,
        )
        page = [*fitting, *older]
        upper = _upper(state.head, page, before_seq, before_number)
        gaps = possible_gaps(chat_id, page, upper, state.head.base, ends=len(page) < count)
        await check_gaps(self._store, gaps)
        return page

    async def _pointers(self, state: MembershipState) -> Sequence[MemberPointers]:
        if state.head.member_count > RECEIPTS_MEMBER_LIMIT:
            return ()
        live = {item.user_id: item for item in await self._log.pointers(state.chat_id)}
        try:
            stored = await self._store.pointers(state.chat_id)
        except Unavailable:
            # Receipts may then be behind; the messages are worth more than that.
            return list(live.values())
        return [_further(item, live.get(item.user_id)) for item in stored]


def _upper(head: Head, page: Sequence[Message], before_seq: int, before_number: int) -> tuple[int, int]:
    """Position and number right above the page; a number of 0 follows on nothing."""
    if before_number:
        return (page[0].seq + 1 if page else 0), 0
    if 0 < before_seq <= head.seq:
        return before_seq, 0
    return head.seq + 1, head.number + 1


def _further(stored: MemberPointers, live: MemberPointers | None) -> MemberPointers:
    if live is None:
        return stored
    return replace(
        stored,
        read=max(stored.read, live.read, key=lambda pointer: (pointer.seq, pointer.at_ms)),
        delivered_seq=max(stored.delivered_seq, live.delivered_seq),
    )
