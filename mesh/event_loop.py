"""Whether the event loop turns fast enough: what blocks it makes everything in the process wait."""

import asyncio
from typing import Final

from mesh.metrics import EVENT_LOOP_LAG_SECONDS

_EVERY_SECONDS: Final = 0.25


async def watch_lag() -> None:
    """Measures four times a second, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        wake_at = loop.time() + _EVERY_SECONDS
        await asyncio.sleep(_EVERY_SECONDS)
        EVENT_LOOP_LAG_SECONDS.observe(max(0.0, loop.time() - wake_at))
