"""What shows the entries of a tiny log. Tests of the edge and of webhooks look at those of the real one."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from codegen import logged_events
from codegen.protocol import Protocol

EXPECTED: Final = Path(__file__).with_name("tiny_logged_events.txt")


def test_the_source_is_as_expected(tiny_protocol: Protocol) -> None:
    assert logged_events.write(tiny_protocol) == EXPECTED.read_text()


def test_a_logged_kind_that_nothing_shows_is_a_mistake(tiny_protocol: Protocol) -> None:
    unshown = replace(
        tiny_protocol, events=tuple(event for event in tiny_protocol.events if event.name != "moved")
    )
    with pytest.raises(LookupError, match="Move"):
        logged_events.write(unshown)
