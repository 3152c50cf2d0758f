"""The tables that are written for a tiny protocol."""

from dataclasses import replace
from typing import Final

import pytest

from codegen import tables
from codegen.protocol import PACKAGE, Protocol
from codegen.schema import Schema

PAGE: Final = "".join(
    f"# About {name}\n<!-- {name}: written by codegen -->\nold\n<!-- end of {name} -->\nmore\n"
    for name in tables.TABLES
)
COMMAND: Final = (
    "| `feed-cats` | Feed the cats. | `portions` (objects of `catId`, `grams` (0 to 100; may be left out); "
    "1 to 9; each `catId` once), `mood` (`calm`, `wild`; `calm` when left out), "
    "`times` (1 to 3; may be left out), `names` (up to 2; each once; may be left out), "
    "`urgent` (may be left out) | `{fedAt}` |"
)


@pytest.fixture(name="protocol")
def _protocol(tiny_protocol: Protocol) -> Protocol:
    schema = tiny_protocol.schema
    codes = schema.enums[f"{PACKAGE}.CloseCode"]
    enums = {**schema.enums, codes.full_name: replace(codes, values=codes.values[:1])}
    return replace(tiny_protocol, schema=Schema(schema.messages, enums))


def test_commands_are_told_with_their_limits(protocol: Protocol) -> None:
    assert list(tables.commands(protocol))[2:] == [COMMAND]


def test_events_are_told_with_what_is_in_them(protocol: Protocol) -> None:
    assert list(tables.events(protocol)) == [
        "| event | when | `data` |",
        "|---|---|---|",
        "| `pet-came` | A pet came. | `Pet` |",
        "| `moved` | Pets moved. | `{homeId, seq, movedAt, cats: [{mood, lives?, keeper}], mood, why?}` |",
    ]


def test_close_codes_are_told_with_advice(protocol: Protocol) -> None:
    assert list(tables.close_codes(protocol))[2:] == ["| 1000 | You closed it | no |"]


def test_tables_take_the_places_of_those_before_and_nothing_else(protocol: Protocol) -> None:
    page = tables.renew(PAGE, protocol)
    assert COMMAND in page
    assert "old" not in page
    assert page.count("more\n") == len(tables.TABLES)
    assert tables.renew(page, protocol) == page


def test_a_page_without_a_place_for_a_table_is_refused(protocol: Protocol) -> None:
    with pytest.raises(ValueError, match="no place for the table of close codes"):
        tables.renew(PAGE.replace("end of close codes", ""), protocol)
