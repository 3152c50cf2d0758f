"""``RecentLog`` on Redis streams. A call moves about as many bytes as it answers, whatever the log holds."""

from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from typing_extensions import override

from chat_service import event_codec
from chat_service.adapters.redis import keys, scripts
from chat_service.domain.model import Position
from chat_service.domain.resume import Entry, Window
from chat_service.ports.log import Recent, RecentLog
from mesh.redis import redis_errors
from parley.common.v1.message_pb2 import Message

_LATEST: Final = 8
"""Where nearly every message that somebody reads up to stands: among so many of the newest entries."""


class RedisRecentLog(RecentLog):
    """The ``RecentLog`` port; reading keeps a log for another ``seconds``."""

    def __init__(self, redis: Redis, *, seconds: int) -> None:
        self._redis = redis
        self._seconds = seconds

    @override
    async def read(self, windows: Sequence[Window]) -> list[list[Entry]]:
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for window in windows:
                    key = keys.log(window.chat_id)
                    pipe.xrange(key, f"{window.after_seq + 1}-0", f"{window.upto_seq}-0")
                    pipe.expire(key, self._seconds)
                answers: list[Any] = await pipe.execute()
        return [[event_codec.entry(fields[b"e"]) for _, fields in rows] for rows in answers[::2]]

    @override
    async def newest(
        self, chat_id: str, count: int, *, below_seq: int = 0, below_number: int = 0, upto_seq: int = 0
    ) -> Recent:
        """More than one round trip where changes of the chat stand between its messages."""
        found: list[Message] = []
        top = below_seq - 1 if below_seq else upto_seq or None
        lowest: Position | None = None
        wanted = count
        while len(found) < count:
            entries = await self._below(chat_id, top, wanted)
            for position, message in entries:
                if message is not None and not 0 < below_number <= position.number:
                    found.append(message)
            if entries:
                lowest, message = entries[-1]
                if message is not None:
                    lowest = Position(lowest.epoch, lowest.seq, lowest.number - 1)
                top = lowest.seq - 1
            if len(entries) < wanted:
                break
            wanted *= 2  # few messages among many changes: few round trips all the same
        if lowest is None:
            return Recent((), whole=await self._begins_above(chat_id, below_seq))
        return Recent(tuple(found[:count]), whole=lowest.number == 0 and len(found) <= count)

    @override
    async def at(self, chat_id: str, seq: int) -> tuple[int, int, str] | None:
        """A second round trip for a position beyond the head."""
        with redis_errors():
            rows: list[Any] = await self._redis.xrange(keys.log(chat_id), f"{seq}-0", "+", 1) or []
        entries = [event_codec.logged(fields[b"e"]) for _, fields in rows]
        if not entries:
            entries = await self._below(chat_id, seq, 1)
        for position, message in entries:
            if position.seq <= seq:
                return position.seq, position.number, message.id if message else ""
            if position.seq == seq + 1:  # what stood before the oldest that is kept
                return seq, position.number - int(message is not None), ""
        return None

    @override
    async def find_latest(self, chat_id: str, message_id: str) -> Message | None:
        entries = await self._below(chat_id, None, _LATEST)
        return next((message for _, message in entries if message and message.id == message_id), None)

    @override
    async def find(self, chat_id: str, message_id: str) -> Message | None:
        """Redis looks through the log by itself, and answers one entry."""
        below = ""
        while True:
            answer = await scripts.run_one(
                self._redis, scripts.FIND_MESSAGE, (keys.log(chat_id),), message_id, below
            )
            if answer is None:
                return None
            position, message = event_codec.logged(answer)
            if message is not None and message.id == message_id:
                return message
            below = f"({position.seq}-0"  # the content of another message looked like it

    async def _below(
        self, chat_id: str, top: int | None, count: int
    ) -> list[tuple[Position, Message | None]]:
        """The newest entries up to a position, None for the head; the newest first."""
        key = keys.log(chat_id)
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.xrevrange(key, "+" if top is None else f"{top}-0", "-", count)
                pipe.expire(key, self._seconds)
                rows, _ = await pipe.execute()
        return [event_codec.logged(fields[b"e"]) for _, fields in rows]

    async def _begins_above(self, chat_id: str, below_seq: int) -> bool:
        """Whether the log has the first entry of its chat, and that stands at the position or above."""
        if not below_seq:
            return False
        with redis_errors():
            rows: list[Any] = await self._redis.xrange(keys.log(chat_id), "-", "+", 1) or []
        if not rows:
            return False
        position, message = event_codec.logged(rows[0][1][b"e"])
        return position.seq >= below_seq and position.number == int(message is not None)
