"""Halves of characters are found wherever they stand, in bounded time, and the answer can be sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.protocol import json_codec, surrogates
from edge.protocol.events import error_frame
from edge.protocol.request import FrameError

_HALVES = st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)
_TEXT = st.text(st.characters() | _HALVES, max_size=20)
_JSON = st.recursive(
    st.none() | st.integers() | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=10,
)


def _halves_in(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


@given(_JSON)
def test_a_half_is_found_wherever_it_stands(value: Any) -> None:
    # Two halves side by side that Python has apart are one character for whoever reads the JSON.
    text = json.dumps(value)
    assert (surrogates.explain(text) is not None) is _halves_in(json.loads(text))


@given(st.text(max_size=64) | st.integers(-(2**53), 2**53), _JSON, _HALVES)
def test_the_answer_carries_the_id_and_can_be_sent(frame_id: Any, value: Any, half: str) -> None:
    frame = {"event": "typing", "id": frame_id, "data": {"chatId": half, "other": value}}
    with pytest.raises(FrameError) as refused:
        json_codec.parse(json.dumps(frame).encode())
    assert (refused.value.id, refused.value.error.code) == (frame_id, "INVALID_ARGUMENT")
    assert "half of a character" in refused.value.error.message
    assert json_codec.encode(error_frame(refused.value.id, refused.value.error))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (r'{"a":["\ud83d\ude00","\ud83d"]}', "`$.a[1]`"),
        (r'{"long":[' + "0," * 60_000 + r'0],"after":"\ude00"}', "`$.after`"),
        (r'{"long":[' + "[0,0]," * 20_000 + r'"\ude00"]}', "`$`"),
        ('{"a":' * 500 + r'"\ud83d"' + "}" * 500, "`$`"),
        (r'{"' + "n" * 100_000 + r'":"\ud83d"}', "`$." + "n" * 64 + "`"),
        (r'{"a":{"\ud83d":1}}', "`$.a`"),
    ],
)
def test_the_place_is_told_and_the_message_stays_short(text: str, place: str) -> None:
    found = surrogates.explain(text)
    assert found is not None
    assert found[0].endswith(place)
    assert len(found[0]) < 200


@pytest.mark.parametrize(
    "text", [r'{"a":"\\ud83d"}', r'{"a":"\ud83d\ude00"}', r'{"a":"\ud83d"', "[" * 9000 + r"\ud8"]
)
def test_what_is_whole_or_no_json_at_all_is_not_blamed_on_halves(text: str) -> None:
    assert surrogates.explain(text) is None
