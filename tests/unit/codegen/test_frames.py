"""The source that is written for a tiny protocol is as expected, and does what it says."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec
import pytest

from codegen import frames
from codegen.protocol import Protocol

EXPECTED: Final = Path(__file__).with_name("tiny_frames.txt")
CAT: Final = "c" * 24


@pytest.fixture(name="source")
def _source(tiny_protocol: Protocol) -> str:
    return frames.write(tiny_protocol)


@pytest.fixture(name="tiny")
def _tiny(source: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("tiny_frames")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(source, module.__dict__)  # noqa: S102 - written a moment ago
    return module


def test_the_source_is_as_expected(source: str) -> None:
    assert source == EXPECTED.read_text()


def feed(tiny: Any, **data: Any) -> Any:
    return msgspec.convert({"portions": [{"catId": CAT}], **data}, tiny.COMMANDS["feed-cats"])


def test_what_may_be_left_out_has_its_default(tiny: Any) -> None:
    command = feed(tiny)
    assert command == tiny.FeedCats(
        portions=[tiny.Portion(cat_id=CAT, grams=0)], mood="calm", times=None, names=[], urgent=False
    )


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"portions": []}, "length >= 1 - at `$.portions`"),
        ({"portions": [{"catId": CAT}] * 10}, "length <= 9 - at `$.portions`"),
        ({"portions": [{"catId": "C" * 24}]}, "- at `$.portions[0].catId`"),
        ({"portions": [{"catId": CAT + "\n"}]}, "- at `$.portions[0].catId`"),
        ({"portions": [{"catId": CAT, "grams": 101}]}, "<= 100 - at `$.portions[0].grams`"),
        ({"portions": [{"catId": CAT, "grams": -1}]}, ">= 0 - at `$.portions[0].grams`"),
        ({"portions": [{"catId": CAT}] * 2}, "each catId of portions may be there once"),
        ({"mood": "secret"}, "'secret' - at `$.mood`"),
        ({"times": 0}, ">= 1 - at `$.times`"),
        ({"times": 4}, "<= 3 - at `$.times`"),
        ({"names": ["a", "a"]}, "each of names may be there once"),
        ({"names": [""]}, "length >= 1 - at `$.names[0]`"),
        ({"urgent": 1}, "- at `$.urgent`"),
    ],
)
def test_what_breaks_a_limit_is_refused_by_name(tiny: Any, data: dict[str, Any], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape(problem)):
        feed(tiny, **data)


@pytest.mark.parametrize("frame_id", ["", "12345678", -5, 5])
def test_an_id_is_a_short_text_or_a_small_number(tiny: Any, frame_id: Any) -> None:
    assert msgspec.convert(frame_id, tiny.FrameId) == frame_id


@pytest.mark.parametrize("frame_id", ["123456789", -6, 6, 1.5, None])
def test_nothing_else_is_an_id(tiny: Any, frame_id: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(frame_id, tiny.FrameId)


def test_frames_are_shown_as_declared(tiny: Any) -> None:
    encode = msgspec.json.encode
    cat = tiny.Cat(mood="wild", lives=3, keeper_id="me")
    assert encode(tiny.PetCameFrame(cat)) == (
        b'{"event":"pet-came","data":{"kind":"cat","mood":"wild","lives":3,"keeper":"me"}}'
    )
    assert encode(tiny.PetCameFrame(tiny.Dog(friend=None))) == (
        b'{"event":"pet-came","data":{"kind":"dog","friend":null}}'
    )
    assert b"lives" not in encode(tiny.Cat(mood="wild", keeper_id="me"))
    assert encode(tiny.FeedCatsAck("a", tiny.Fed(fed_at="now"))) == (
        b'{"event":"ack","id":"a","data":{"fedAt":"now"}}'
    )
    assert encode(tiny.ErrorFrame(None, tiny.Error(code="INTERNAL"))) == (
        b'{"event":"error","id":null,"data":{"code":"INTERNAL"}}'
    )


def test_what_is_for_the_inside_is_told_to_nobody(source: str) -> None:
    assert "chip" not in source
    assert "secret" not in source
    assert "Nobody outside" not in source
