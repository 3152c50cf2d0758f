"""The way of messages from clients to chat_service: batched when busy, at once when idle.

While a call is in flight the queue grows, and the next call takes what waits. Nothing is delayed in order to
gather. A chat always goes through the same lane and a lane has one call in flight, so the order per chat
holds.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from edge import metrics
from mesh import tracing
from mesh.errors import ParleyError, ResourceExhausted, from_item_error, unavailable
from mesh.logs import get_logger
from mesh.rpc.messages import request_limit
from parley.chat.v1.chat_service_pb2 import SendAccepted, SendItem, SendMessagesRequest, SendResult
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from parley.common.v1.error_pb2 import ErrorReason

_BATCH: Final = 64  # the limit of SendMessages
_BATCH_BYTES: Final = request_limit("parley.chat.v1.ChatService/SendMessages")
_FRAMING_BYTES: Final = 8  # at most, of an item in a request
_DEADLINE_SECONDS: Final = 5.0

_log = get_logger()

Reply = Callable[[SendAccepted | ParleyError], None]
"""Gets the outcome of one message, once; must neither wait nor raise."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    item: SendItem
    reply: Reply
    span: tracing.Span | None
    since: float
    """By ``time.perf_counter``."""


class _Lane:
    def __init__(self, chats: ChatServiceStub) -> None:
        self._chats = chats
        self.queue: deque[_Waiting] = deque()
        self.some = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    async def run(self) -> None:
        while True:
            await self.some.wait()
            self.some.clear()
            while self.queue:
                batch = self._next()
                metrics.SENDS_WAITING.dec(len(batch))
                await self._send(batch)
                metrics.SEND_SECONDS.observe(time.perf_counter() - batch[0].since)
            self.idle.set()

    def _next(self) -> list[_Waiting]:
        """Takes what a call may carry. One that is too large by itself goes alone, and is refused alone."""
        batch: list[_Waiting] = []
        size = 0
        while self.queue and len(batch) < _BATCH:
            size += self.queue[0].item.ByteSize() + _FRAMING_BYTES
            if batch and size > _BATCH_BYTES:
                break
            batch.append(self.queue.popleft())
        return batch

    async def _send(self, batch: list[_Waiting]) -> None:
        metrics.SEND_BATCH.observe(len(batch))
        request = SendMessagesRequest(items=[waiting.item for waiting in batch])
        with tracing.within(_span(batch)):
            await self._call(request, batch)

    async def _call(self, request: SendMessagesRequest, batch: list[_Waiting]) -> None:
        try:
            response = await self._chats.SendMessages(request, timeout=_DEADLINE_SECONDS)
        except ParleyError as error:
            for waiting in batch:
                waiting.reply(error)
            return
        if len(response.results) != len(batch):
            _log.error("sends.wrong_answer", items=len(batch), results=len(response.results))
        for index, waiting in enumerate(batch):
            waiting.reply(_outcome(response.results[index]) if index < len(response.results) else _missing())


class SendQueue:
    """Takes messages for chat_service; `lanes` calls may be in flight, `limit` messages may wait in all."""

    def __init__(self, chats: ChatServiceStub, *, lanes: int, limit: int) -> None:
        self._lanes = [_Lane(chats) for _ in range(lanes)]
        self._lane_limit = max(1, limit // lanes)

    def submit(self, item: SendItem, reply: Reply, span: tracing.Span | None = None) -> None:
        """Queues a message; `reply` gets the outcome, at once if the queue is full (`OVERLOADED`).

        `span` is what the message is a part of; who submits it ends it.
        """
        lane = self._lanes[crc32(item.message.chat_id.encode()) % len(self._lanes)]
        if len(lane.queue) >= self._lane_limit:
            reply(
                ResourceExhausted(
                    ErrorReason.ERROR_REASON_OVERLOADED, "too many messages wait here", retry_after_ms=1000
                )
            )
            return
        lane.queue.append(_Waiting(item, reply, span, time.perf_counter()))
        metrics.SENDS_WAITING.inc()
        lane.idle.clear()
        lane.some.set()

    async def run(self) -> None:
        """Sends until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number, lane in enumerate(self._lanes):
                group.create_task(lane.run(), name=f"send-lane-{number}")

    async def drain(self) -> None:
        """Returns once all that was submitted has its outcome."""
        for lane in self._lanes:
            await lane.idle.wait()


def _span(batch: list[_Waiting]) -> tracing.Span | None:
    """One for all messages of the batch that are traced; each of them links to it."""
    if not tracing.on():
        return None
    traced = [waiting.span for waiting in batch if waiting.span is not None]
    span = tracing.together(
        "send batch",
        (waiting.traceparent for waiting in traced),
        attributes={"parley.messages": len(batch)},
    )
    if span is not None:
        for waiting in traced:
            waiting.link(span)
    return span


def _outcome(result: SendResult) -> SendAccepted | ParleyError:
    match result.WhichOneof("outcome"):
        case "accepted":
            return result.accepted
        case "error":
            return from_item_error(result.error)
        case _:
            return _missing()


def _missing() -> ParleyError:
    # Whether the message was taken is not known; a repeat of it is safe.
    return unavailable("chat", "chat_service gave no outcome")
