"""A client that talks and reads all the time, repeats once what failed, and follows edges that go away."""

import asyncio
import itertools
import random
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from tests.e2e.mesh import Service, token

PAUSE_SECONDS: Final = 0.04  # between two sends of one user; the limit is 50 a second
RETRY_SECONDS: Final = 0.5  # at least, before a client's one retry
ANSWER_SECONDS: Final = 10.0
RECONNECT_SECONDS: Final = 0.1
READ_EVERY: Final = 10  # messages of its own

Frame = dict[str, Any]
_LOST: Final[Frame] = {"event": "error", "data": {"code": "CONNECTION_LOST", "retryable": True}}


@dataclass
class Tally:
    """What all clients saw."""

    sent_at: dict[str, float] = field(default_factory=dict)
    acked: set[str] = field(default_factory=set)
    retried: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    moves: int = 0
    longest_gap: float = 0.0
    """Seconds that some client got no message"""
    delays: list[tuple[float, float]] = field(default_factory=list)
    """(when it was sent, seconds until a client had it)"""

    def p99_ms(self, since: float, until: float) -> float:
        delays = [delay for sent, delay in self.delays if since <= sent <= until]
        return statistics.quantiles(delays, n=100)[98] * 1000


class Talker:
    """One user with one connection at a time. `seen` is what it knows of the chat, by `seq`."""

    def __init__(self, user_id: str, edges: Sequence[Service], tally: Tally) -> None:
        self.user_id: Final = user_id
        self.seen: dict[int, Frame] = {}
        self._edges = itertools.cycle(edges)
        self._tally = tally
        self._last_arrival: float | None = None
        self._socket: ClientConnection | None = None
        self._replies: dict[str, asyncio.Future[Frame]] = {}
        self._connected = asyncio.Event()
        self.chat = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = False

    async def start(self, stack: AsyncExitStack) -> None:
        """Connects; `stack` ends it."""
        task = asyncio.create_task(self._stay_connected())

        async def stop() -> None:
            self._leaving = True
            if self._socket is not None:
                await self._socket.close()
            await asyncio.gather(task, *self._tasks)

        stack.push_async_callback(stop)
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._connected.wait()

    async def talk(self, chat_id: str, stop: asyncio.Event) -> None:
        """Says one thing after the other until `stop`."""
        self.chat = chat_id
        for number in itertools.count():
            if stop.is_set():
                return
            key = f"{self.user_id}-{number}"
            self._tally.sent_at[key] = time.perf_counter()
            data = {"chatId": chat_id, "content": key, "type": "text", "clientMsgId": key}
            if await self._insist("send-message", data):
                self._tally.acked.add(key)
            if number % READ_EVERY == 0:
                await self.read()
            await asyncio.sleep(random.uniform(0.5, 1.5) * PAUSE_SECONDS)

    async def read(self) -> None:
        """Has read everything up to now."""
        await self._insist("mark-chat-read", {"chatId": self.chat})

    async def _insist(self, event: str, data: Frame) -> bool:
        """Asks, and once again if it must. Whether it was done."""
        reply = await self._ask(event, data)
        if reply["event"] == "error":
            self._tally.retried[f"{event}: {reply['data']['code']}"] += 1
            assert reply["data"]["retryable"], reply
            await asyncio.sleep(max(RETRY_SECONDS, reply["data"].get("retryAfterMs", 0) / 1000))
            reply = await self._ask(event, data)
        if reply["event"] == "error":
            self._tally.lost.append(f"{event} {data}: {reply['data']}")
            return False
        return True

    async def _ask(self, event: str, data: Frame) -> Frame:
        await self._connected.wait()
        frame_id = uuid.uuid4().hex
        reply = self._replies[frame_id] = asyncio.get_running_loop().create_future()
        assert self._socket is not None
        try:
            await self._socket.send(
                msgspec.json.encode({"event": event, "id": frame_id, "data": data}).decode()
            )
        except ConnectionClosed:
            return _LOST
        return await asyncio.wait_for(reply, ANSWER_SECONDS)

    async def _stay_connected(self) -> None:
        while not self._leaving:
            edge = next(self._edges)
            try:
                self._socket = await connect(
                    f"ws://127.0.0.1:{edge.port}/ws",
                    additional_headers={"Authorization": f"Bearer {token(self.user_id)}"},
                    subprotocols=[Subprotocol("parley.v1.json")],
                )
            except (OSError, InvalidHandshake):
                await asyncio.sleep(RECONNECT_SECONDS)  # a client's back-off; the next edge is tried then
                continue
            async for text in self._socket:
                self._take(msgspec.json.decode(text))
            self._tally.moves += not self._leaving
            self._connected.clear()
            for reply in self._replies.values():
                if not reply.done():
                    reply.set_result(_LOST)
            self._replies.clear()

    def _take(self, frame: Frame) -> None:
        data = frame.get("data") or {}
        if frame["event"] == "welcome":
            self._connected.set()
            if self.seen:
                self._in_background(self._resume())
        elif frame["event"] == "new-message" and data["seq"] not in self.seen:
            self.seen[data["seq"]] = data
            self._arrived(self._tally.sent_at[data["clientMsgId"]])
        elif frame["event"] == "resync":
            self._in_background(self._resume())
        if reply := self._replies.pop(frame.get("id", ""), None):
            reply.set_result(frame)

    def _arrived(self, sent: float) -> None:
        now = time.perf_counter()
        self._tally.delays.append((sent, now - sent))
        if self._last_arrival is not None:
            self._tally.longest_gap = max(self._tally.longest_gap, now - self._last_arrival)
        self._last_arrival = now

    def _cursor(self) -> int:
        """The position up to which nothing is missing: messages are numbered without holes."""
        by_number = {message["number"]: seq for seq, message in self.seen.items()}
        last = next(number for number in itertools.count(1) if number not in by_number) - 1
        return by_number.get(last, 0)

    async def _resume(self) -> None:
        while not self._leaving:
            cursor = {"chatId": self.chat, "seq": self._cursor(), "epoch": 1}
            reply = await self._ask("resume", {"chats": [cursor]})
            if reply is _LOST or (reply["event"] == "ack" and not reply["data"]["errors"]):
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
