"""A client that follows the rules sees each entry of a log once and in order, whatever Redis loses or delays.

The rooms of the edge are real. Around them are a log, a channel that may delay and lose, and a client that
keeps one cursor and the three rules of docs/websocket-protocol.md.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from edge.rooms.rooms import Broadcast, Rooms
from edge.websocket.connection import framed
from parley.common.v1.chat_pb2 import ChatHead
from tests.support.labels import LABELS, labelled, payload

if TYPE_CHECKING:
    from edge.websocket.connection import Connection
    from parley.edge.v1.frames import ServerFrame

CHAT = "c" * 24
EPOCH = 1


class Peer:
    """What the client was sent: positions, and None for a resync."""

    user_id = "alice"
    codec = LABELS

    def __init__(self) -> None:
        self.sent: list[int | None] = []

    def send(self, data: bytes) -> None:
        label = payload(data)
        self.sent.append(None if label == CHAT.encode() else int(label))

    def tell(self, frame: ServerFrame) -> None:
        self.send(framed(self.codec, frame))


class Client:
    """Follows the rules."""

    def __init__(self, cursor: int) -> None:
        self.start = cursor
        self.shown: list[int] = []
        self.wants_resume = False

    @property
    def cursor(self) -> int:
        return self.shown[-1] if self.shown else self.start

    def take(self, sent: list[int | None]) -> None:
        for seq in sent:
            if seq is None or seq > self.cursor + 1:
                self.wants_resume = True
            elif seq == self.cursor + 1:
                self.shown.append(seq)


class RoomMachine(RuleBasedStateMachine):
    """One connection in one room."""

    @initialize()
    def connect(self) -> None:
        self.rooms = Rooms(on_open=lambda _: None, on_empty=lambda _: None)
        self.head = 0  # of the log
        self.channel: deque[int] = deque()
        self.peer = Peer()
        self.connection = cast("Connection", self.peer)
        self.read_up_to: int | None = None
        self.resuming = False
        self.lost = False  # since the last ack
        self.heard = 0  # the last that the edge heard
        self.gathered: set[int] = set()  # what it heard while the connection was on hold
        self.rooms.begin_join(self.connection, CHAT)
        self.rooms.release(self.connection, self.head_now())
        self.client = Client(0)
        self.since_ack: list[int] = []
        self.acked_head = 0

    def head_now(self) -> ChatHead:
        return ChatHead(chat_id=CHAT, epoch=EPOCH, seq=self.head)

    def deliver(self) -> None:
        """The client takes what it was sent."""
        sent, self.peer.sent = self.peer.sent, []
        self.client.take(sent)
        if not self.resuming:
            self.since_ack += [seq for seq in sent if seq is not None]
            # On the wire too: behind an ack everything comes once and in order, as long as nothing is lost.
            if not self.lost:
                assert self.since_ack == list(
                    range(self.acked_head + 1, self.acked_head + 1 + len(self.since_ack))
                )

    @rule()
    def publish(self) -> None:
        self.head += 1
        self.channel.append(self.head)

    @precondition(lambda self: self.channel)
    @rule()
    def hear(self) -> None:
        seq = self.channel.popleft()
        room = self.rooms.get(CHAT)
        assert room is not None
        follows = room.follows(EPOCH, seq)
        assert follows == (seq == self.heard + 1)
        if not follows:
            room.resync()
        self.heard = seq
        self.gathered.add(seq)
        room.broadcast(Broadcast(labelled(str(seq)), EPOCH, seq))
        self.deliver()

    @precondition(lambda self: self.channel)
    @rule()
    def lose(self) -> None:
        self.channel.popleft()
        self.lost = True

    @precondition(lambda self: not self.resuming)
    @rule()
    def begin_to_resume(self) -> None:
        self.deliver()
        self.resuming = True
        self.read_up_to = None
        self.gathered.clear()
        assert self.rooms.begin_replay(self.connection, CHAT)

    @precondition(lambda self: self.resuming and self.read_up_to is None)
    @rule()
    def read_the_log(self) -> None:
        self.read_up_to = self.head
        for seq in range(self.client.cursor + 1, self.head + 1):
            self.peer.tell(labelled(str(seq)))
        self.deliver()

    @precondition(lambda self: self.resuming and self.read_up_to is not None)
    @rule()
    def finish(self) -> None:
        assert self.read_up_to is not None
        self.deliver()
        assert self.client.cursor == self.read_up_to
        self.resuming = self.client.wants_resume = False
        self.since_ack, self.acked_head = [], self.read_up_to
        # What was lost and is beyond the head may still be missing; what is up to it was read from the log.
        newer = set(range(self.read_up_to + 1, self.head + 1))
        self.lost = not newer <= self.gathered | set(self.channel)
        self.rooms.release(self.connection, ChatHead(chat_id=CHAT, epoch=EPOCH, seq=self.read_up_to))
        self.deliver()

    @precondition(lambda self: self.resuming and self.read_up_to is None)
    @rule()
    def fail(self) -> None:
        self.resuming = False
        self.client.wants_resume = True
        self.lost = True  # the ack before says nothing any more
        self.rooms.abort_replay(self.connection, CHAT)
        assert {seq for seq in self.gathered if seq > self.acked_head} <= set(self.peer.sent)
        self.deliver()

    def teardown(self) -> None:
        """Once Redis loses nothing any more, one resume is enough."""
        if not hasattr(self, "rooms"):
            return
        if self.resuming:
            if self.read_up_to is None:
                self.read_the_log()
            self.finish()
        self.publish()  # a loss at the very end is only seen by what follows
        while self.channel:
            self.hear()
        if self.client.cursor != self.head:
            assert self.client.wants_resume, "a gap that nobody tells the client of"
            self.begin_to_resume()
            self.read_the_log()
            self.finish()
        assert self.client.shown == list(range(1, self.head + 1))


RoomMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestRoom = RoomMachine.TestCase
