"""The chats of one connection: which it is in, waits for, has left, and which its client does not know of."""

import asyncio
from collections.abc import Iterable
from typing import Final

from edge.protocol.events import chat_created_frame, removed_frame, resync_frame
from edge.rooms.membership import Joined
from edge.rooms.pending_joins import PendingJoins
from edge.sessions.services import SessionServices
from edge.websocket.connection import Connection
from mesh.clock import now_ms
from mesh.errors import ParleyError
from parley.chat.v1 import chat_service_pb2 as pb
from parley.events.v1.user_event_pb2 import ChatAdded, ChatRemoved, UserEvent


class SessionChats:
    """Moves one connection in and out of rooms, and tells its client what of that it does not know.

    It does so step by step, one at a time: whoever calls what waits holds `turn`.
    """

    def __init__(self, connection: Connection, services: SessionServices) -> None:
        self.turn: Final = asyncio.Lock()
        self._connection = connection
        self._services = services
        self._membership = services.membership
        self.opened = False
        """Whether the first chats are joined."""
        self._has_more = False  # chats than a session opens with
        self._partial = False  # as chat_service was told
        self._left: set[str] = set()  # the client wants nothing of them here, though the user is a member
        self._unannounced: set[str] = set()  # pending, and the client does not know of them
        self._pending = PendingJoins(
            connection,
            services.membership,
            self.turn,
            services.pending_joins,
            on_joined=self._joined_late,
            on_refused=self._tell_removed,
            on_change=self.tell_partial,
        )

    def close(self) -> None:
        """Leaves all, since the connection is gone."""
        self._pending.close()
        self._membership.leave_all(self._connection)

    # Opening, which the welcome divides into two steps.

    async def join_first(self, opened: pb.OpenSessionResponse) -> Joined:
        """Joins the chats that a session opens with. What is published in them waits for `open`.

        Raises:
            ParleyError: chat_service could not be asked.
        """
        joined = await self._membership.join(self._connection, opened.chat_ids)
        self.opened = True
        self._has_more = bool(opened.next_cursor)
        return joined

    def open(self, joined: Joined) -> None:
        """The client was told of `joined`: lets go what waited, and joins later what could not be joined."""
        for chat_id in retryable(joined):
            self._pending.add(chat_id)
        self._membership.release(self._connection, joined)

    # What the client asks for.

    async def join_named(self, chat_ids: Iterable[str]) -> Joined:
        """Joins chats again that the client names; `release` follows once it was answered.

        Raises:
            ParleyError: chat_service could not be asked.
        """
        chat_ids = list(chat_ids)
        joined = await self._membership.join_named(self._connection, chat_ids)
        self.wanted(chat_ids)
        for head in joined.heads:
            self._pending.discard(head.chat_id)
        return joined

    def release(self, joined: Joined) -> None:
        """Lets go what was published in these chats meanwhile."""
        self._membership.release(self._connection, joined)

    def leave(self, chat_ids: Iterable[str]) -> None:
        """Leaves chats, on this connection alone."""
        for chat_id in chat_ids:
            pending = self._pending.discard(chat_id)
            if self._membership.leave(self._connection, chat_id) or pending:
                self._left.add(chat_id)

    def wanted(self, chat_ids: Iterable[str]) -> None:
        """The client wants these chats here, whatever it left before."""
        self._left.difference_update(chat_ids)

    # What happens to the user.

    async def add(self, event: UserEvent) -> None:
        """The user became a member of a chat: joins it, and tells the client of it."""
        chat_id = event.chat_added.chat.id
        try:
            joined = await self._membership.join(self._connection, (chat_id,))
        except ParleyError as error:
            joined = Joined([], [(chat_id, error)])
        self._left.discard(chat_id)
        self._unannounced.discard(chat_id)
        for head in joined.heads:
            self._pending.discard(chat_id)
            self._connection.tell(chat_created_frame(event))
            if head.seq > event.chat_added.chat.seq:
                # Something happened before this edge listened: no frame will tell it.
                self._connection.tell(resync_frame(chat_id))
        for _ in retryable(joined):
            self._connection.tell(chat_created_frame(event))
            self._pending.add(chat_id)
        self._membership.release(self._connection, joined)

    def remove(self, event: UserEvent) -> None:
        """The user is a member no more: ends delivery at once, and says so unless the room's event did."""
        chat_id = event.chat_removed.chat_id
        self._unannounced.discard(chat_id)
        # Both: a chat may be pending for a new look while it is joined.
        if self._pending.discard(chat_id) | self._membership.leave(self._connection, chat_id):
            self._connection.tell(removed_frame(event))

    async def recheck(self, opened: pb.OpenSessionResponse) -> None:
        """Leaves and joins what the user's chats by now ask for, after events were missed.

        Raises:
            ParleyError: it could not be found out.
        """
        known = dict.fromkeys((*self._membership.chats_of(self._connection), *self._pending))
        added = [chat_id for chat_id in opened.chat_ids if chat_id not in known and chat_id not in self._left]
        # Those that are new are told of by the same way as those that could not be joined before.
        for chat_id in added:
            self._unannounced.add(chat_id)
            self._pending.add(chat_id)
        joined = await self._membership.join(self._connection, known)
        for head in joined.heads:
            if self._pending.discard(head.chat_id):
                await self._joined_late(head.chat_id)
        self._membership.release(self._connection, joined)
        for chat_id, error in joined.refused:
            if error.retryable:
                self._pending.add(chat_id)
            else:
                self._pending.discard(chat_id)
                self._tell_removed(chat_id)
        self._has_more = bool(opened.next_cursor)
        self.tell_partial(again=True)  # opening it anew said otherwise

    # What others are told.

    def tell_partial(self, *, again: bool = False) -> None:
        """Tells chat_service whether this connection lacks chats of the user: of those it says nothing.

        Who is busy here is notified of what comes there.
        """
        if self.opened:
            partial = self._has_more or bool(self._left) or any(self._pending)
            if partial != self._partial or (partial and again):
                self._services.presence.set_partial(self._connection.id, partial=partial)
            self._partial = partial

    async def _joined_late(self, chat_id: str) -> None:
        """Tells the client of a chat that is joined by now: what happened before in it no frame will tell.

        Raises:
            ParleyError: the client does not know the chat, and it cannot be shown now.
        """
        user_id = self._connection.user_id
        if chat_id in self._unannounced:
            request = pb.GetChatRequest(user_id=user_id, chat_id=chat_id)
            added = ChatAdded(chat=(await self._services.chats.GetChat(request)).chat)
            self._unannounced.discard(chat_id)
            self._connection.tell(chat_created_frame(UserEvent(user_id=user_id, chat_added=added)))
        self._connection.tell(resync_frame(chat_id))

    def _tell_removed(self, chat_id: str) -> None:
        """Tells that a chat is not the user's any more. Who did it was in the event that was missed."""
        if chat_id in self._unannounced:
            self._unannounced.discard(chat_id)
            return
        removed = ChatRemoved(chat_id=chat_id)
        event = UserEvent(user_id=self._connection.user_id, occurred_at_ms=now_ms(), chat_removed=removed)
        self._connection.tell(removed_frame(event))


def retryable(joined: Joined) -> list[str]:
    """The chats that could not be joined now, and may be later."""
    return [chat_id for chat_id, error in joined.refused if error.retryable]
