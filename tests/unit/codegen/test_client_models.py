"""The models that are written for a client of the tiny protocol, and that they read what is shown."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from codegen import client_models
from codegen.protocol import Protocol

EXPECTED: Final = Path(__file__).with_name("tiny_client_models.txt")


@pytest.fixture(name="source")
def _source(tiny_protocol: Protocol) -> str:
    written = client_models.write(tiny_protocol, ("Pet", "Fed"))
    # Close codes are those of the real protocol.
    return "\n".join(line for line in written.splitlines() if "CLOSE_CODES: Final" not in line) + "\n"


@pytest.fixture(name="tiny")
def _tiny(source: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("tiny_client_models")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(source, module.__dict__)  # noqa: S102 - written a moment ago
    return module


def test_the_source_is_as_expected(source: str) -> None:
    assert source == EXPECTED.read_text()


def test_what_is_shown_is_read(tiny: Any) -> None:
    assert tiny.fed_from({"fedAt": "2026-01-31T12:00:00.250Z"}) == tiny.Fed(
        datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
    )
    cat = tiny.Cat(mood="wild", lives=None, keeper_id="me")
    assert tiny.pet_from({"kind": "cat", "mood": "wild", "keeper": "me"}) == cat
    friend = {"kind": "cat", "mood": "wild", "lives": 3, "keeper": "me"}
    assert tiny.pet_from({"kind": "dog", "friend": friend}) == tiny.Dog(tiny.Cat("wild", 3, "me"))
    assert tiny.pet_from({"kind": "dog", "friend": None, "tail": "long"}) == tiny.Dog(None)


def test_what_is_not_shown_is_no_model(tiny: Any) -> None:
    with pytest.raises(KeyError):
        tiny.pet_from({"kind": "cat"})
