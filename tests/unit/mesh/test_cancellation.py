import asyncio

from mesh.cancellation import end


async def test_a_task_that_drops_a_cancellation_ends_all_the_same() -> None:
    """As one does in Python 3.11 if its `asyncio.wait_for` gets its result in the same turn."""
    dropped = 0
    rests = asyncio.Event()

    async def work() -> None:
        nonlocal dropped
        while True:
            try:
                rests.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                dropped += 1
                if dropped > 2:
                    raise

    tasks = [asyncio.create_task(work()) for _ in range(2)]
    await rests.wait()
    async with asyncio.timeout(30):
        await end(*tasks, again_seconds=0.01)
    assert all(task.cancelled() for task in tasks)


async def test_cleaning_up_is_left_its_time_and_a_failure_in_it_is_not_raised() -> None:
    rests, cleaned = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            rests.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            cleaned.set()
            raise ValueError

    task = asyncio.create_task(work())
    await rests.wait()
    await end(task)
    assert cleaned.is_set()
    assert isinstance(task.exception(), ValueError)


async def test_what_has_ended_already_needs_no_end() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await end(task)
    await end()
