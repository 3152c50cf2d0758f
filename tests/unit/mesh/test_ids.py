import time
from itertools import pairwise

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from mesh.ids import ObjectIdFactory, is_object_id, new_object_id, object_id_seconds


def test_an_id_is_one_that_mongodb_drivers_take() -> None:
    object_id = new_object_id()
    assert str(ObjectId(object_id)) == object_id
    assert int(ObjectId(object_id).generation_time.timestamp()) == object_id_seconds(object_id)


def test_the_time_in_an_id_is_now() -> None:
    before = int(time.time())
    assert before <= object_id_seconds(new_object_id()) <= int(time.time())


def test_ids_of_one_process_ascend_and_never_repeat() -> None:
    mint = ObjectIdFactory()
    ids = [mint() for _ in range(5000)]
    assert len(set(ids)) == 5000
    # Within a second they ascend, except once in 16 million when the counter wraps.
    descents = sum(earlier >= later for earlier, later in pairwise(ids))
    assert descents <= 1


def test_ids_of_two_processes_differ_although_time_and_counter_may_not() -> None:
    assert ObjectIdFactory()()[8:18] != ObjectIdFactory()()[8:18]


@given(st.binary(min_size=12, max_size=12))
def test_any_twelve_bytes_in_lower_case_hex_are_an_id(raw: bytes) -> None:
    assert is_object_id(raw.hex())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 23,
        "0" * 25,
        "G" * 24,
        "A" * 24,
        "0" * 23 + "\n",
        "0" * 24 + "\n",
        "\u0660" * 24,  # digits, but of another script
    ],
)
def test_anything_else_is_not_an_id(text: str) -> None:
    assert not is_object_id(text)


@given(st.text())
def test_text_is_an_id_only_if_mongodb_agrees(text: str) -> None:
    assert not is_object_id(text) or ObjectId.is_valid(text)
