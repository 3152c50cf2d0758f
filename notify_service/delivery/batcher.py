"""Asks a store once for what many attempts want to know at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Batcher(Generic[K, V]):
    """What is asked for in one turn of the event loop becomes one question."""

    def __init__(self, ask: Callable[[Collection[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._ask_store = ask
        self._asked: dict[K, None] = {}
        self._answer: asyncio.Task[Mapping[K, V]] | None = None

    async def get(self, key: K) -> V | None:
        """The answer about one key, None when there is none; raises what the question raised."""
        self._asked[key] = None
        if self._answer is None:
            self._answer = asyncio.create_task(self._ask(), name="ask together")
            self._answer.add_done_callback(_was_seen)
        # One who stops waiting must not take the answer from the others.
        return (await asyncio.shield(self._answer)).get(key)

    async def _ask(self) -> Mapping[K, V]:
        asked, self._asked, self._answer = list(self._asked), {}, None
        return await self._ask_store(asked)


def _was_seen(answer: asyncio.Task[Mapping[K, V]]) -> None:
    # Nobody may be left who waits for a failure.
    if not answer.cancelled():
        answer.exception()
