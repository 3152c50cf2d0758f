import asyncio

from mesh.lifecycle import Lifecycle


async def test_a_task_survives_that_a_library_cancels_what_it_waits_for() -> None:
    life = Lifecycle()
    runs = 0
    again, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs > 1:
            again.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lost.cancel()
        await lost

    life.supervise("work", work)
    async with asyncio.timeout(10):
        await again.wait()
    assert not ended.is_set()
    await life.close(5)
    assert ended.is_set()
    assert runs == 2
