"""Which logs have a hole, and which only seem to."""

import pytest
from bson import ObjectId

from admin.soundness import Log

JUMP = 2**20


@pytest.mark.parametrize(
    ("entries", "problems"),
    [
        ([(1, 1), (2, 2), (3, None), (4, 3)], []),
        ([(1, None), (2, 1)], []),
        ([(1, 1), (JUMP + 2, 2), (JUMP + 3, 3)], []),  # Redis lost it once
        ([(JUMP + 1, 7), (JUMP + 2, 8)], []),  # and before anything was stored
        ([(1, 1), (JUMP + 2, 1), (JUMP + 3, 2)], []),  # what had number 2 was acked to nobody
        ([(1, 1), (3, 2)], ["lacks positions 2 to 2"]),
        ([(2, 1)], ["lacks positions 1 to 1"]),
        ([(1, 1), (2, 3)], ["has number 3 at 2 after 1"]),
        ([(1, 1), (2, 1)], ["has number 1 at 2 after 1"]),
        ([(1, 1), (5, 4)], ["lacks positions 2 to 4", "has number 4 at 5 after 1"]),
        ([(JUMP + 1, 7), (JUMP + 3, 9)], ["lacks positions", "has number 9"]),
    ],
)
def test_holes(entries: list[tuple[int, int | None]], problems: list[str]) -> None:
    log = Log(ObjectId())
    found = [problem for entry in entries for problem in log.take(*entry)]
    assert len(found) == len(problems)
    for problem, part in zip(found, problems, strict=True):
        assert part in problem
        assert str(log.chat_id) in problem
