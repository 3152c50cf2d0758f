"""Reading what a client that was away has missed."""

import asyncio
from collections.abc import Sequence

from chat_service.domain import resume, rules
from chat_service.domain.resume import Cursor, Entry, Slice, Window
from chat_service.metrics import RESUMES
from chat_service.ports.log import RecentLog
from chat_service.ports.store import Store
from chat_service.use_cases.history_gaps import RETRY_AFTER_MS
from chat_service.use_cases.membership_states import MembershipStates
from chat_service.use_cases.throttle import JOIN, Throttle
from mesh.clock import now_ms
from mesh.errors import ParleyError, Unavailable, unavailable

DEFAULT_LIMIT = 200
MAX_LIMIT = 500
# For one call: what goes beyond is incomplete, and is asked for again.
ENTRIES_PER_CALL = 2_000
BYTES_PER_CALL = 2 * 1024 * 1024
STORE_CHATS_PER_CALL = 64


class ReadLog:
    """Slices of logs after a client's cursors: from the recent log, and from the store what is missing there.

    A client is sent nothing rather than something with a hole. Two round trips to Redis however many cursors
    there are, and one more to the store for chats whose recent log does not reach back far enough.
    """

    def __init__(self, states: MembershipStates, recent: RecentLog, store: Store, throttle: Throttle) -> None:
        self._throttle = throttle
        self._states = states
        self._recent = recent
        self._store = store

    async def __call__(
        self, user_id: str, cursors: Sequence[Cursor], limit: int
    ) -> list[Slice | ParleyError]:
        """One slice per cursor, in order, or why there is none; ``limit`` 0 stands for 200 entries per chat.

        Raises:
            InvalidArgument: ``limit`` is out of its range.
            ResourceExhausted: RATE_LIMITED, the user named too many chats; nothing was read.
            Unavailable: Redis is down.
        """
        limit = limit or DEFAULT_LIMIT
        if limit > MAX_LIMIT:
            raise rules.invalid(f"limit must be 1 to {MAX_LIMIT}")
        await self._throttle.check(JOIN, user_id, price=len(cursors) * rules.price_of((user_id,)))
        states = await self._states.of(user_id, [cursor.chat_id for cursor in cursors])
        answers: dict[int, Slice | ParleyError] = {}
        windows: dict[int, Window] = {}
        entries_left = ENTRIES_PER_CALL
        for index, (cursor, state) in enumerate(zip(cursors, states, strict=True)):
            if isinstance(state, ParleyError):
                answers[index] = state
                continue
            after, reset = resume.begin(cursor, state.head)
            # Positions are dense within an epoch of the log, so this is how many entries there are.
            size = min(state.head.seq - after, limit, entries_left)
            answers[index] = Slice(state, complete=after == state.head.seq, reset=reset)
            if size:
                windows[index] = Window(cursor.chat_id, after, after + size)
                entries_left -= size
        await self._fill(windows, answers)
        for answer in answers.values():
            RESUMES.labels(_outcome(answer)).inc()
        return [answers[index] for index in range(len(cursors))]

    async def _fill(self, windows: dict[int, Window], answers: dict[int, Slice | ParleyError]) -> None:
        if not windows:
            return
        recent = dict(zip(windows, await self._recent.read(list(windows.values())), strict=True))
        behind = [
            index
            for index, window in windows.items()
            if len(resume.dense(window, recent[index])) < window.size
        ][:STORE_CHATS_PER_CALL]
        stored = dict(
            zip(
                behind, await asyncio.gather(*(self._stored(windows[index]) for index in behind)), strict=True
            )
        )
        bytes_left = BYTES_PER_CALL
        for index, window in windows.items():
            opened = answers[index]
            if isinstance(opened, ParleyError):
                continue
            older = stored.get(index, [])
            if isinstance(older, ParleyError):
                answers[index] = older
                continue
            run = resume.dense(window, older, recent[index])
            if not run and index in stored:
                answers[index] = _missing(opened, window, older)
                continue
            fitting = _cut(run, bytes_left, at_least=bytes_left == BYTES_PER_CALL)
            bytes_left -= sum(len(entry.encoded) for entry in fitting)
            answers[index] = Slice(
                opened.state,
                fitting,
                complete=bool(fitting) and fitting[-1].seq == opened.state.head.seq,
                reset=opened.reset,
            )

    async def _stored(self, window: Window) -> list[Entry] | ParleyError:
        try:
            return await self._store.list_entries(window)
        except Unavailable as error:
            return error


def _missing(opened: Slice, window: Window, stored: Sequence[Entry]) -> Slice | ParleyError:
    """What to say when nobody has the very next entry."""
    if opened.reset or resume.is_lost(window.after_seq, stored, now_ms()):
        # Its history is loaded again anyway, and goes on from the head.
        return Slice(opened.state, complete=True, reset=True)
    return unavailable("persist", "the store is behind", retry_after_ms=RETRY_AFTER_MS)


def _cut(run: Sequence[Entry], bytes_left: int, *, at_least: bool) -> tuple[Entry, ...]:
    """The first entries that fit; one always does when it is the first of a call."""
    for count, entry in enumerate(run):
        bytes_left -= len(entry.encoded)
        if bytes_left < 0:
            return tuple(run[: max(count, int(at_least))])
    return tuple(run)


def _outcome(answer: Slice | ParleyError) -> str:
    if isinstance(answer, ParleyError):
        return answer.code
    if answer.reset:
        return "reset"
    return "complete" if answer.complete else "incomplete"
