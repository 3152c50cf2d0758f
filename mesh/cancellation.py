"""Telling a cancellation of the current task from one of what it waits for."""

import asyncio


def is_cancelled() -> bool:
    """Whether somebody cancelled the current task.

    If not, a ``CancelledError`` comes from a library that cancelled a future: a failure of that library's
    connection, which must not end the task unnoticed.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
