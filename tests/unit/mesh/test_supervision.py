import asyncio

from structlog.testing import capture_logs

from mesh.errors import unavailable
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
    async with asyncio.timeout(30):
        await again.wait()
    assert not ended.is_set()
    await life.close(5)
    assert ended.is_set()
    assert runs == 2


async def test_what_a_task_needs_and_is_away_is_told_once_without_a_traceback() -> None:
    life = Lifecycle()
    tries = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries >= 4:
            enough.set()
        raise unavailable("redis")

    with capture_logs() as logs:
        life.supervise("work", work)
        async with asyncio.timeout(30):
            await enough.wait()
        await life.close(5)
    told = [(log["event"], log["task"], log["dependency"]) for log in logs]
    assert told == [("task.waits", "work", "redis")]
    assert not [log for log in logs if "exc_info" in log]
