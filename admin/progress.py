"""What a long command is doing, on standard error: each stage as it begins, and again every few seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from admin.output import note
from mesh.cancellation import end

EVERY_SECONDS: float = 5.0


class Progress:
    """One stage: what is done, and to how many documents of about how many."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what = what
        self._total = total
        self._done = 0

    def add(self, documents: int) -> None:
        """So many more are done."""
        self._done += documents

    def tell(self) -> None:
        """Prints how far it is."""
        note(self._what if self._total is None else f"{self._what}: {self._done} of {self._total} documents")

    async def repeat(self) -> None:
        """Prints it again, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self.tell()


@asynccontextmanager
async def stage(what: str, total: int | None = None) -> AsyncIterator[Progress]:
    """Tells of the stage while entered, and once more at its end where documents are counted."""
    progress = Progress(what, total)
    if total != 0:
        progress.tell()
    repeating = asyncio.create_task(progress.repeat(), name="tell the progress")
    try:
        yield progress
    finally:
        await end(repeating)
    if total:
        progress.tell()
