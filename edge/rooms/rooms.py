"""Who on this edge receives what: chats and the connections in them.

A connection joins a chat in two steps, so that nothing is missed and nothing comes twice: `begin_join` (what
is published in the chat gathers for it), then, once chat_service said where the log stands, `release` (what
is newer follows). A replay takes one who is in the room through the same steps again: `begin_replay`, then
`release`.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from edge import metrics
from edge.protocol.codec import Codec
from edge.protocol.events import resync_frame, typing_frame
from edge.websocket.connection import Connection, framed
from parley.common.v1.chat_pb2 import ChatHead
from parley.edge.v1.frames import ServerFrame

# Beyond this a join waits too long for what it holds; the client is told to resync instead.
_MAX_HELD_BYTES: Final = 256 * 1024
# Who joins is shown so many of those who type just then; nobody reads more names.
_TYPISTS_SHOWN: Final = 8


class Broadcast:
    """One event for many. `seq` is 0 for what has no place in the log.

    With a `key`, only the latest of that key counts.
    """

    __slots__ = ("_encoded", "epoch", "frame", "key", "seq")

    def __init__(self, frame: ServerFrame, epoch: int = 0, seq: int = 0, key: str = "") -> None:
        self.frame: Final = frame
        self.epoch: Final = epoch
        self.seq: Final = seq
        self.key: Final = key
        self._encoded: dict[Codec, bytes] = {}

    def encoded(self, codec: Codec) -> bytes:
        """The frame in one form of the protocol: made when first asked for, and the same for all."""
        data = self._encoded.get(codec)
        if data is None:
            data = self._encoded[codec] = framed(codec, self.frame)
        return data

    def is_after(self, head: ChatHead) -> bool:
        """Whether one who knows the log up to `head` still needs this."""
        return self.seq == 0 or (self.epoch, self.seq) > (head.epoch, head.seq)


def typing_key(chat_id: str, user_id: str) -> str:
    """What makes a later frame about somebody's typing take the place of an earlier one."""
    return f"typing {chat_id} {user_id}"


@dataclass(slots=True)
class _Joining:
    """A connection on its way in: first it waits for the head, then for the first entry that is newer.

    The second wait is for entries up to the head that come late: nothing orders the answer of
    chat_service and what this edge is subscribed to.
    """

    head: ChatHead | None = None
    before: ChatHead | None = None  # one who was in the room already: what it knew
    held: list[Broadcast] = field(default_factory=list)
    held_bytes: int = 0
    overflowed: bool = False

    def hold(self, broadcast: Broadcast, codec: Codec) -> None:
        self.held_bytes += len(broadcast.encoded(codec))
        if self.held_bytes > _MAX_HELD_BYTES:
            self.overflowed = True
            self.held.clear()
        else:
            self.held.append(broadcast)


class Room:
    """The connections of one chat. `member_count` counts the chat's members everywhere, as last heard."""

    __slots__ = ("_head", "_joined", "_joining", "_last", "chat_id", "member_count", "typists")

    def __init__(self, chat_id: str) -> None:
        self.chat_id: Final = chat_id
        # By codec, so that a broadcast is encoded for those alone that are there. A dict keeps the order of
        # joining, so that nobody is always last by chance of hashing.
        self._joined: dict[Codec, dict[Connection, None]] = {}
        self._joining: dict[Connection, _Joining] = {}
        self._last: tuple[int, int] | None = None  # (epoch, seq) of the last entry that came
        self._head: tuple[int, int] | None = None  # until one came: where the log stood when first asked
        self.member_count = 0
        self.typists: dict[str, None] = {}  # who types, as those in the room were told

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._joined.get(connection.codec, ()) or connection in self._joining

    def __bool__(self) -> bool:
        return bool(self._joined or self._joining)

    @property
    def connections(self) -> list[Connection]:
        """Those that joined."""
        return [connection for connections in self._joined.values() for connection in connections]

    def everyone(self) -> list[Connection]:
        """All connections, also those still joining."""
        return [*self.connections, *self._joining]

    def follows(self, epoch: int, seq: int) -> bool:
        """Takes note of an entry; false if it is not the one after the last: something was missed.

        A log that goes back counts as well: Redis lost its last moments, and what was seen is no more.
        """
        if self._last is None and self._head is not None:
            if (epoch, seq) <= self._head:
                return True  # late: whoever joined knows it already
            self._last = self._head
        last, self._last = self._last, (epoch, seq)
        return last is None or (epoch, seq) == (last[0], last[1] + 1)

    def forget(self) -> None:
        """Takes the next entry as it comes, wherever it stands."""
        self._last = self._head = None

    def resync(self) -> None:
        """Tells everyone that entries may be missing."""
        self.broadcast(Broadcast(resync_frame(self.chat_id)))

    def broadcast(self, broadcast: Broadcast) -> None:
        """Sends to everyone in the room."""
        for codec, connections in self._joined.items():
            data = broadcast.encoded(codec)
            for connection in connections:
                connection.send(data)
            metrics.DELIVERIES.inc(len(connections))
        if self._joining:
            self._broadcast_to_joining(broadcast, self._joining)

    def broadcast_to(self, broadcast: Broadcast, accepts: Callable[[Connection], bool]) -> None:
        """Sends to those that `accepts`."""
        for codec, connections in self._joined.items():
            chosen = [connection for connection in connections if accepts(connection)]
            data = broadcast.encoded(codec) if chosen else b""
            for connection in chosen:
                if broadcast.key:
                    connection.send_latest(broadcast.key, data)
                else:
                    connection.send(data)
            metrics.DELIVERIES.inc(len(chosen))
        self._broadcast_to_joining(broadcast, filter(accepts, self._joining))

    def begin_join(self, connection: Connection) -> bool:
        """Begins to gather for `connection`; false if it is in the room already, joined or joining."""
        if connection in self:
            return False
        joining = self._joining[connection] = _Joining()
        # Otherwise it would only be told when they stop.
        for user_id in itertools.islice(self.typists, _TYPISTS_SHOWN):
            if user_id != connection.user_id:
                frame = typing_frame(self.chat_id, user_id, is_typing=True)
                joining.hold(Broadcast(frame, key=typing_key(self.chat_id, user_id)), connection.codec)
        return True

    def begin_replay(self, connection: Connection) -> bool:
        """Like `begin_join`, also for one who is in the room; true if it was."""
        if self.begin_join(connection):
            return False
        joining = self._joining.get(connection)
        self._take_out(connection)
        before = joining.head if joining is not None else None
        self._joining[connection] = _Joining(before=before or ChatHead())
        return True

    def abort_replay(self, connection: Connection) -> None:
        """Undoes `begin_replay`: what gathered goes out."""
        joining = self._joining.get(connection)
        if joining is not None and joining.head is None and joining.before is not None:
            self._let_go(connection, joining, joining.before)

    def release(self, connection: Connection, head: ChatHead) -> None:
        """Sends what gathered and is newer than `head`; from now on newer frames go out directly.

        Does nothing for a connection that left meanwhile, or joined before.
        """
        self.member_count = head.member_count
        if self._last is None and self._head is None:
            self._head = (head.epoch, head.seq)  # the first one: all behind it must come, whoever knows it
        joining = self._joining.get(connection)
        if joining is not None and joining.head is None:
            self._let_go(connection, joining, head)

    def _let_go(self, connection: Connection, joining: _Joining, head: ChatHead) -> None:
        joining.head = head
        if joining.overflowed:
            connection.tell(resync_frame(self.chat_id))
        held, joining.held = joining.held, []
        for broadcast in held:
            self._pass(connection, joining, broadcast)

    def remove(self, connection: Connection) -> bool:
        """Ends delivery at once; false if it was not in the room."""
        if self._joining.pop(connection, None) is not None:
            return True
        return self._take_out(connection)

    def _take_out(self, connection: Connection) -> bool:
        joined = self._joined.get(connection.codec, {})
        if connection not in joined:
            return False
        del joined[connection]
        if not joined:
            del self._joined[connection.codec]
        return True

    def _broadcast_to_joining(self, broadcast: Broadcast, connections: Iterable[Connection]) -> None:
        for connection in list(connections):
            joining = self._joining[connection]
            if joining.head is None:
                joining.hold(broadcast, connection.codec)
            else:
                self._pass(connection, joining, broadcast)

    def _pass(self, connection: Connection, joining: _Joining, broadcast: Broadcast) -> None:
        if joining.head is None or not broadcast.is_after(joining.head):
            return
        connection.send(broadcast.encoded(connection.codec))
        metrics.DELIVERIES.inc()
        if broadcast.seq and self._joining.pop(connection, None) is not None:
            self._joined.setdefault(connection.codec, {})[connection] = None


class Rooms:
    """All rooms of this edge. A room exists while somebody is in it; `on_open` and `on_empty` tell of it."""

    def __init__(self, *, on_open: Callable[[str], None], on_empty: Callable[[str], None]) -> None:
        self._rooms: dict[str, Room] = {}
        self._chats_of: dict[Connection, dict[str, None]] = {}
        self._on_open = on_open
        self._on_empty = on_empty

    def __iter__(self) -> Iterator[Room]:
        return iter(tuple(self._rooms.values()))

    def get(self, chat_id: str) -> Room | None:
        """The room of a chat, None while nobody here is in it."""
        return self._rooms.get(chat_id)

    def chats_of(self, connection: Connection) -> list[str]:
        """The chats that a connection is in, in the order of joining."""
        return list(self._chats_of.get(connection, ()))

    def begin_join(self, connection: Connection, chat_id: str) -> bool:
        """First step of joining; false if `connection` is in the room already, joined or joining."""
        room = self._rooms.get(chat_id)
        if room is None:
            room = self._rooms[chat_id] = Room(chat_id)
            metrics.ROOMS.set(len(self._rooms))
            self._on_open(chat_id)
        self._chats_of.setdefault(connection, {})[chat_id] = None
        return room.begin_join(connection)

    def begin_replay(self, connection: Connection, chat_id: str) -> bool:
        """Like `begin_join`, also for one who is in the room; true if it was."""
        room = self._rooms.get(chat_id)
        if room is None or connection not in room:
            self.begin_join(connection, chat_id)
            return False
        return room.begin_replay(connection)

    def abort_replay(self, connection: Connection, chat_id: str) -> None:
        """Undoes `begin_replay`; nothing happens for one who left meanwhile."""
        room = self._rooms.get(chat_id)
        if room is not None:
            room.abort_replay(connection)

    def has(self, connection: Connection, chat_id: str) -> bool:
        """Whether `connection` is in the room, joined or joining."""
        room = self._rooms.get(chat_id)
        return room is not None and connection in room

    def release(self, connection: Connection, head: ChatHead) -> None:
        """Second step of joining; nothing happens for a connection that left meanwhile."""
        room = self._rooms.get(head.chat_id)
        if room is not None:
            room.release(connection, head)

    def leave(self, connection: Connection, chat_id: str) -> bool:
        """Takes `connection` out of a room; false if it was not in it."""
        room = self._rooms.get(chat_id)
        if room is None or not room.remove(connection):
            return False
        self._chats_of[connection].pop(chat_id, None)
        if not room:
            del self._rooms[chat_id]
            metrics.ROOMS.set(len(self._rooms))
            self._on_empty(chat_id)
        return True

    def leave_all(self, connection: Connection) -> None:
        """Takes a connection that is gone out of every room."""
        for chat_id in self.chats_of(connection):
            self.leave(connection, chat_id)
        self._chats_of.pop(connection, None)
