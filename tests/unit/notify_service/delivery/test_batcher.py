"""Many questions at the same moment are one question."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from notify_service.delivery.batcher import Batcher

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Store:
    """Knows the squares of even numbers."""

    def __init__(self) -> None:
        self.questions: list[list[int]] = []
        self.broken = False

    async def squares(self, numbers: Collection[int]) -> Mapping[int, int]:
        self.questions.append(sorted(numbers))
        await asyncio.sleep(0)
        if self.broken:
            raise KeyError("broken")
        return {number: number * number for number in numbers if number % 2 == 0}


async def test_what_is_asked_at_once_is_asked_together() -> None:
    store = Store()
    together = Batcher(store.squares)
    assert await asyncio.gather(*map(together.get, [2, 3, 4, 2])) == [4, None, 16, 4]
    assert await together.get(6) == 36
    assert store.questions == [[2, 3, 4], [6]]


async def test_a_failure_is_everybody_s_and_the_next_question_s_no_more() -> None:
    store = Store()
    together = Batcher(store.squares)
    store.broken = True
    answers = await asyncio.gather(together.get(2), together.get(4), return_exceptions=True)
    assert [type(answer) for answer in answers] == [KeyError, KeyError]
    store.broken = False
    assert await together.get(2) == 4


async def test_one_who_stops_waiting_takes_nothing_from_the_others() -> None:
    together = Batcher(Store().squares)
    hasty, patient = (asyncio.create_task(together.get(number)) for number in (2, 4))
    await asyncio.sleep(0)
    hasty.cancel()
    assert await patient == 16
    with pytest.raises(asyncio.CancelledError):
        await hasty
