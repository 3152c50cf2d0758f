"""Whether a page of history has gaps: the recent log and the store may not meet while the store lags."""

import asyncio
from collections.abc import Iterable

from chat_service.domain import resume
from chat_service.domain.resume import Window
from chat_service.ports.store import Store
from mesh.clock import now_ms
from mesh.errors import unavailable

# More positions in a row that are no messages are not looked through.
_LOOK = 500
RETRY_AFTER_MS = 1_000


async def check_gaps(store: Store, gaps: Iterable[Window]) -> None:
    """Returns when the store has something else than a message at each position of the possible gaps.

    Called for pages whose numbers do not follow on, which is rare.

    Raises:
        Unavailable: the store is behind, or caught up a moment ago; it may also be down.
    """
    await asyncio.gather(*(_check(store, gap) for gap in gaps))


async def _check(store: Store, gap: Window) -> None:
    window = Window(gap.chat_id, gap.after_seq, min(gap.upto_seq, gap.after_seq + _LOOK))
    stored = await store.list_entries(window)
    run = resume.dense(window, stored)
    is_covered = len(run) == window.size or resume.is_lost(window.after_seq + len(run), stored, now_ms())
    if not is_covered or any(entry.is_message for entry in run):
        raise unavailable("persist", "the store is behind", retry_after_ms=RETRY_AFTER_MS)
