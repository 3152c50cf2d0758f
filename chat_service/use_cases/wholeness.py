"""Whether a page of history is whole: the recent log and the store may not meet while the store lags."""

import asyncio
from collections.abc import Iterable

from chat_service.domain import resume
from chat_service.domain.resume import Window
from chat_service.ports import Store
from mesh.clock import now_ms
from mesh.errors import unavailable

# More positions in a row that are no messages are not looked through.
_LOOK = 500
RETRY_AFTER_MS = 1_000


class Wholeness:
    """Asked only about stretches whose numbers leave a doubt, which is rare."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def check(self, stretches: Iterable[Window]) -> None:
        """Returns when the store has something else than a message at each position of the stretches.

        Raises:
            Unavailable: the store is behind, or caught up a moment ago; it may also be down.
        """
        await asyncio.gather(*map(self._check, stretches))

    async def _check(self, stretch: Window) -> None:
        window = Window(stretch.chat_id, stretch.after_seq, min(stretch.upto_seq, stretch.after_seq + _LOOK))
        stored = await self._store.list_entries(window)
        run = resume.dense(window, stored)
        is_covered = len(run) == window.size or resume.is_lost(window.after_seq + len(run), stored, now_ms())
        if not is_covered or any(entry.is_message for entry in run):
            raise unavailable("persist", "the store is behind", retry_after_ms=RETRY_AFTER_MS)
