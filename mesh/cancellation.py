"""Cancelling tasks for certain, and telling a cancellation of a task from one of what it waits for."""

import asyncio
from typing import Any, Final

_AGAIN_SECONDS: Final = 5.0  # what a task may take to clean up before it is cancelled once more


def is_cancelled() -> bool:
    """Whether somebody cancelled the current task.

    If not, a ``CancelledError`` comes from a library that cancelled a future: a failure of that library's
    connection, which must not end the task unnoticed.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def end(*tasks: asyncio.Task[Any], again_seconds: float = _AGAIN_SECONDS) -> None:
    """Cancels ``tasks`` and returns once all have ended, however they did.

    Once is not enough: the ``asyncio.wait_for`` of Python 3.11, which libraries use, drops a cancellation
    that comes in the same turn as what it waited for (https://github.com/python/cpython/issues/86296).
    """
    # Not `await task`: that would not tell its cancellation from ours.
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=again_seconds)
