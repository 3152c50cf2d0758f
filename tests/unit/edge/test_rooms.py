"""Joining a room, step by step."""

import asyncio
from typing import cast

import pytest

from edge.protocol.codec import BINARY, JSON, Codec
from edge.rooms.rooms import Broadcast, Rooms
from edge.websocket.connection import Connection, framed
from parley.common.v1.chat_pb2 import ChatHead
from parley.edge.v1.frames import ServerFrame
from tests.support.labels import LABELS, labelled, payload

CHAT = "c" * 24


class _Peer:
    """Stands for a connection: a room only sends to it."""

    def __init__(self, user_id: str = "alice", codec: Codec = LABELS) -> None:
        self.user_id = user_id
        self.codec = codec
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.sent.append(payload(data))

    def tell(self, frame: ServerFrame) -> None:
        self.send(framed(self.codec, frame))


def _peer(user_id: str = "alice", codec: Codec = LABELS) -> tuple[_Peer, Connection]:
    peer = _Peer(user_id, codec)
    return peer, cast("Connection", peer)


def _entry(seq: int, epoch: int = 1) -> Broadcast:
    return Broadcast(labelled(f"{epoch}.{seq}"), epoch, seq)


def _head(seq: int, epoch: int = 1) -> ChatHead:
    return ChatHead(chat_id=CHAT, epoch=epoch, seq=seq, member_count=2)


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def rooms(events: list[str]) -> Rooms:
    return Rooms(
        on_open=lambda chat_id: events.append(f"open {chat_id}"),
        on_empty=lambda chat_id: events.append(f"empty {chat_id}"),
    )


def _broadcast(rooms: Rooms, *entries: Broadcast) -> None:
    room = rooms.get(CHAT)
    assert room is not None
    for entry in entries:
        room.broadcast(entry)


def test_held_entries_up_to_the_head_are_known_and_dropped(rooms: Rooms) -> None:
    peer, connection = _peer()
    assert rooms.begin_join(connection, CHAT)
    _broadcast(rooms, _entry(4), _entry(5), Broadcast(labelled("typing")), _entry(6))
    assert peer.sent == []
    rooms.release(connection, _head(5))
    assert peer.sent == [b"typing", b"1.6"]
    _broadcast(rooms, _entry(7))
    assert peer.sent[-1] == b"1.7"


def test_an_entry_that_comes_late_and_is_in_the_head_is_dropped_after_the_release(rooms: Rooms) -> None:
    peer, connection = _peer()
    rooms.begin_join(connection, CHAT)
    rooms.release(connection, _head(5))
    _broadcast(rooms, _entry(4), Broadcast(labelled("typing")), _entry(5), _entry(6), _entry(7))
    assert peer.sent == [b"typing", b"1.6", b"1.7"]


def test_a_new_life_of_the_log_is_newer_whatever_its_positions(rooms: Rooms) -> None:
    peer, connection = _peer()
    rooms.begin_join(connection, CHAT)
    _broadcast(rooms, _entry(3, epoch=2))
    rooms.release(connection, _head(900, epoch=1))
    assert peer.sent == [b"2.3"]


def test_one_who_left_while_joining_gets_nothing(rooms: Rooms, events: list[str]) -> None:
    peer, connection = _peer()
    rooms.begin_join(connection, CHAT)
    _broadcast(rooms, _entry(1))
    assert rooms.leave(connection, CHAT)
    rooms.release(connection, _head(0))
    assert peer.sent == []
    assert events == [f"open {CHAT}", f"empty {CHAT}"]
    assert rooms.get(CHAT) is None


def test_too_much_to_hold_becomes_a_resync(rooms: Rooms) -> None:
    peer, connection = _peer()
    rooms.begin_join(connection, CHAT)
    for seq in range(1, 400):
        _broadcast(rooms, Broadcast(labelled("x" * 1024), 1, seq))
    rooms.release(connection, _head(0))
    assert peer.sent == [CHAT.encode()]  # the resync's
    _broadcast(rooms, _entry(400))
    assert peer.sent[-1] == b"1.400"


def test_joining_twice_is_joining_once(rooms: Rooms) -> None:
    peer, connection = _peer()
    assert rooms.begin_join(connection, CHAT)
    assert not rooms.begin_join(connection, CHAT)
    rooms.release(connection, _head(0))
    assert not rooms.begin_join(connection, CHAT)
    rooms.release(connection, _head(0))
    _broadcast(rooms, _entry(1))
    assert not rooms.begin_join(connection, CHAT)
    _broadcast(rooms, _entry(2))
    assert peer.sent == [b"1.1", b"1.2"]
    assert rooms.chats_of(connection) == [CHAT]


def test_a_room_ends_with_its_last_connection(rooms: Rooms, events: list[str]) -> None:
    (_, alice), (_, bob) = _peer("alice"), _peer("bob")
    rooms.begin_join(alice, CHAT)
    rooms.begin_join(bob, CHAT)
    rooms.release(bob, _head(0))
    rooms.leave_all(alice)
    assert events == [f"open {CHAT}"]
    rooms.leave_all(bob)
    assert events == [f"open {CHAT}", f"empty {CHAT}"]
    assert not rooms.leave(bob, CHAT)


def test_broadcast_to_asks_for_everyone(rooms: Rooms) -> None:
    (one, alice), (two, bob), (three, carol) = _peer("alice"), _peer("bob"), _peer("carol")
    for connection in (alice, bob, carol):
        rooms.begin_join(connection, CHAT)
    rooms.release(alice, _head(0))
    rooms.release(bob, _head(0))
    room = rooms.get(CHAT)
    assert room is not None
    room.broadcast_to(Broadcast(labelled("typing")), lambda connection: connection.user_id != "bob")
    rooms.release(carol, _head(0))
    assert (one.sent, two.sent, three.sent) == ([b"typing"], [], [b"typing"])


def test_a_broadcast_is_encoded_once_for_each_codec_in_the_room_and_for_no_other(rooms: Rooms) -> None:
    encoded: list[str] = []

    def counting(name: str) -> Codec:
        def encode(frame: ServerFrame) -> bytes:
            encoded.append(name)
            return LABELS.encode(frame)

        return Codec(name, is_binary=False, encode=encode, parse=JSON.parse)

    text, binary = counting("text"), counting("binary")
    peers = [_peer(f"user-{n}", codec) for n, codec in enumerate([text, binary] * 5)]
    for n, (_, connection) in enumerate(peers):
        rooms.begin_join(connection, CHAT)
        if n > 3:
            rooms.release(connection, _head(0))  # the others are still joining
    _broadcast(rooms, _entry(1))
    assert sorted(encoded) == ["binary", "text"]
    for _, connection in peers[:4]:
        rooms.release(connection, _head(0))
    assert [peer.sent for peer, _ in peers] == [[b"1.1"]] * 10
    for _, connection in peers[1::2]:
        rooms.leave(connection, CHAT)
    encoded.clear()
    _broadcast(rooms, _entry(2))
    assert encoded == ["text"]


def test_each_gets_its_own_form_of_a_frame(rooms: Rooms) -> None:
    (one, alice), (two, bob) = _peer("alice", JSON), _peer("bob", BINARY)
    for connection in (alice, bob):
        rooms.begin_join(connection, CHAT)
        rooms.release(connection, _head(0))
    room = rooms.get(CHAT)
    assert room is not None
    room.resync()
    room.broadcast_to(Broadcast(labelled(CHAT)), lambda _: True)
    assert one.sent == [JSON.encode(labelled(CHAT))] * 2
    assert two.sent == [BINARY.encode(labelled(CHAT))] * 2


async def test_typing_ends_by_itself_after_the_last_announcement() -> None:
    from edge.rooms.typing_timers import TypingTimers  # noqa: PLC0415 - the only test of it here

    ended: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    timers = TypingTimers(lambda *who: ended.put_nowait(who), seconds=0.05)
    timers.start(CHAT, "alice")
    timers.start(CHAT, "bob")
    timers.start(CHAT, "alice")
    timers.cancel(CHAT, "bob")
    timers.cancel(CHAT, "bob")
    assert await asyncio.wait_for(ended.get(), 30) == (CHAT, "alice")
    assert ended.empty()
    timers.start(CHAT, "alice")
    timers.close()
