"""Refusals that wait for nothing, told without a clock: by the turns that the event loop takes for them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mesh.errors import Unavailable

_TURNS = 100
"""Of a loop that never sleeps meanwhile: one that waits for a network or a timer is far from its end."""


async def refused_at_once(call: Callable[[], Awaitable[object]], dependency: str) -> None:
    """It fails in that dependency's name before anything that it could wait for may have happened."""

    async def outcome() -> None:
        await call()

    refusal = asyncio.create_task(outcome())
    for _ in range(_TURNS):
        if refusal.done():
            break
        await asyncio.sleep(0)
    waits = not refusal.done()
    with pytest.raises(Unavailable) as refused:
        await refusal
    assert not waits, "a call waited"
    assert refused.value.dependency == dependency
