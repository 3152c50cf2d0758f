"""Reading, replaying and dropping what is in dead-letter queues. A crash at any point loses nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Self

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity
from pydantic import SecretStr

from mesh.amqp.publishing import Publisher
from mesh.amqp.topology import dead_queue
from mesh.amqp.visit import visiting
from mesh.dead_letters.letter import DeadLetter, letter_of

# RabbitMQ 4 drops a message of a quorum queue that came back 20 times. Reading brings it back once.
_MOST_READS: Final = 10
_ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters of a queue: at most `limit` of them, oldest first, with one message id or with any."""

    limit: int
    message_id: str = ""

    def takes(self, letter: DeadLetter) -> bool:
        """Whether the letter is one of them."""
        return not self.message_id or letter.message_id == self.message_id


@dataclass(frozen=True, slots=True)
class Reading:
    """What a look into a queue found: how many letters wait in it, and those that were chosen."""

    waiting: int
    letters: list[DeadLetter]


class QueueMissingError(Exception):
    """There is no such dead-letter queue."""


class DeadLetterBox:
    """The dead-letter queues of a broker.

    Every method takes the name of the work queue, and looks no further than what was there when it began: a
    letter that dies again meanwhile is not taken twice.

    Raises:
        QueueMissingError: the queue does not exist.
        aiormq.AMQPError, OSError, TimeoutError: the broker went away; nothing is lost.
    """

    def __init__(self, connection: AbstractConnection, publisher: Publisher) -> None:
        self._connection = connection
        self._publisher = publisher

    async def read(self, queue: str, selection: Selection) -> Reading:
        """The letters, which stay where they are and in their order.

        What somebody else reads just now is hidden. A letter that was read ten times moves to the end of its
        queue, because RabbitMQ would drop it in the end.
        """
        found: list[DeadLetter] = []
        async with self._open(queue) as pile:
            passed: list[tuple[AbstractIncomingMessage, DeadLetter]] = []
            async for message, letter in pile.letters():
                passed.append((message, letter))
                if selection.takes(letter):
                    found.append(letter)
                    if len(found) == selection.limit:
                        break
            await self._give_back(passed)
        return Reading(pile.waiting, found)

    async def replay(self, queue: str, selection: Selection) -> int:
        """Sends letters back to their work queue; how many.

        Each leaves here after the broker has confirmed it there: a crash in between leaves it in both.
        """
        return await self._take(queue, selection, revive=True)

    async def drop(self, queue: str, selection: Selection) -> int:
        """Gives letters up for good; how many."""
        return await self._take(queue, selection, revive=False)

    async def _take(self, queue: str, selection: Selection, *, revive: bool) -> int:
        taken = 0
        async with self._open(queue) as pile:
            passed: list[tuple[AbstractIncomingMessage, DeadLetter]] = []
            async for message, letter in pile.letters():
                if not selection.takes(letter):
                    passed.append((message, letter))
                    continue
                if revive:
                    async with asyncio.timeout(_ANSWER_SECONDS):
                        await self._publisher.publish(letter.revived())
                await message.ack()
                taken += 1
                if taken == selection.limit:
                    break
            await self._give_back(passed)
        return taken

    async def _give_back(self, passed: list[tuple[AbstractIncomingMessage, DeadLetter]]) -> None:
        for message, letter in passed:
            if letter.deliveries < _MOST_READS:
                await message.nack(requeue=True)
            else:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._publisher.publish(letter.renewed())
                await message.ack()

    @asynccontextmanager
    async def _open(self, queue: str) -> AsyncIterator["_Pile"]:
        """The dead-letter queue on a channel of its own, whose end gives back what is not settled."""
        async with self._connection.channel(publisher_confirms=False) as channel:
            yield await _Pile.of(channel, queue)


class _Pile:
    """What was in a dead-letter queue at one moment."""

    def __init__(
        self, queue: str, source: AbstractQueue, first: AbstractIncomingMessage | None, waiting: int
    ) -> None:
        self._queue = queue
        self._source = source
        self._first = first
        self.waiting = waiting

    @classmethod
    async def of(cls, channel: AbstractChannel, queue: str) -> Self:
        """Raises QueueMissingError.

        A quorum queue answers a length that may not include what was given back a moment ago. A
        letter it hands out only after all that came before. So the first letter is taken before the length.
        """
        source = await _existing(channel, queue)
        first = await source.get(fail=False, timeout=_ANSWER_SECONDS)
        if first is None:
            return cls(queue, source, None, 0)
        rest = await source.declare(timeout=_ANSWER_SECONDS)
        return cls(queue, source, first, 1 + (rest.message_count or 0))

    async def letters(self) -> AsyncIterator[tuple[AbstractIncomingMessage, DeadLetter]]:
        """All of it, oldest first, unsettled."""
        message = self._first
        for left in reversed(range(self.waiting)):
            if message is None:
                return
            yield message, letter_of(self._queue, message)
            if left:
                message = await self._source.get(fail=False, timeout=_ANSWER_SECONDS)


async def _existing(channel: AbstractChannel, queue: str) -> AbstractQueue:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await channel.declare_queue(dead_queue(queue), passive=True)
    except ChannelNotFoundEntity as error:
        raise QueueMissingError(f"there is no queue {dead_queue(queue)}") from error


@asynccontextmanager
async def open_box(url: SecretStr) -> AsyncIterator[DeadLetterBox]:
    """The dead-letter queues of the broker at `url`.

    Raises:
        Unavailable: the broker cannot be reached, or went away.
    """
    async with visiting(url) as connection:
        async with asyncio.timeout(_ANSWER_SECONDS):
            publisher = await Publisher.open(connection)
        yield DeadLetterBox(connection, publisher)
