"""What becomes of an unordered bulk write that did not succeed as a whole."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pymongo.errors import BulkWriteError

from mesh.errors import Unavailable
from notify_service.adapters.mongo.bulk import WriteRefusedError, bulk_write, insert_new

DUPLICATE, DISK_FULL, STEPPED_DOWN, INVALID = 11_000, 14_031, 189, 121


class Refusing:
    """A collection whose server says no to what holds content."""

    def __init__(self, codes: tuple[int, ...], *, confirmed: bool = True) -> None:
        errors = [{"index": 0, "code": code, "op": {"payload": "secret words"}} for code in codes]
        concerns = [] if confirmed else [{"code": 64, "errmsg": "waiting for replication timed out"}]
        self._error = BulkWriteError({"writeErrors": errors, "writeConcernErrors": concerns})

    async def insert_many(self, *_: Any, **__: Any) -> None:
        raise self._error

    bulk_write = insert_many


async def test_what_is_there_already_is_fine() -> None:
    refusing: Any = Refusing((DUPLICATE, DUPLICATE))
    await insert_new(refusing, [{}])


@pytest.mark.parametrize("codes", [(DISK_FULL,), (DUPLICATE, DISK_FULL), (STEPPED_DOWN,), ()])
async def test_a_server_that_cannot_write_is_waited_for(codes: tuple[int, ...]) -> None:
    refusing: Any = Refusing(codes)
    for write in (insert_new(refusing, [{}]), bulk_write(refusing, [Any])):  # type: ignore[list-item]
        with pytest.raises(Unavailable):
            await write


async def test_what_was_not_confirmed_is_not_taken_for_a_repeat() -> None:
    refusing: Any = Refusing((DUPLICATE,), confirmed=False)
    with pytest.raises(Unavailable):
        await insert_new(refusing, [{}])


async def test_the_log_quotes_no_document(caplog: pytest.LogCaptureFixture) -> None:
    refusing: Any = Refusing((INVALID,))
    try:
        await insert_new(refusing, [{}])
    except WriteRefusedError:
        logging.getLogger("test").exception("failed")
    assert "code 121" in caplog.text
    assert "secret words" not in caplog.text
