"""Waiting for what tells nobody when it changes. What can be awaited is awaited instead."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, overload

T = TypeVar("T")

PATIENCE_SECONDS: Final = 30.0
"""How long a test waits for what must come: it says that something hangs, not how fast the machine is."""


@overload
async def eventually(
    probe: Callable[[], Awaitable[T | None]], what: str = "", *, seconds: float = PATIENCE_SECONDS
) -> T: ...
@overload
async def eventually(
    probe: Callable[[], T | None], what: str = "", *, seconds: float = PATIENCE_SECONDS
) -> T: ...
async def eventually(
    probe: Callable[[], object], what: str = "", *, seconds: float = PATIENCE_SECONDS
) -> object:
    """The first answer of `probe`, or of what it gives to await, that is true; the loop runs in between.

    Fails the test with `what` and the last answer when there is none in time.
    """
    answer: object = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = probe()
                if inspect.isawaitable(answer):
                    answer = await answer
                if answer:
                    return answer
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(_missed(what or probe, seconds, answer)) from None


def eventually_blocking(probe: Callable[[], T | None], what: str, *, seconds: float = PATIENCE_SECONDS) -> T:
    """Like `eventually`, for tests without an event loop."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, _missed(what, seconds, answer)
        time.sleep(0.01)
    return answer


def _missed(what: object, seconds: float, last: object) -> str:
    return f"{what}: not within {seconds:g} s; the last answer was {last!r}"
