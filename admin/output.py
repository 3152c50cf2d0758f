"""What a command prints: a table for people, or JSON for programs."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def tell(document: Any, text: Callable[[], str], *, as_json: bool) -> None:
    """Prints the document as JSON, or the text; "nothing" where that is empty."""
    sys.stdout.write((to_json(document) if as_json else text() or "nothing") + "\n")


def json_option(parser: ArgumentParser) -> None:
    """Lets the command print JSON."""
    parser.add_argument("--json", action="store_true", help="JSON instead of text")


def note(text: str) -> None:
    """Prints a line beside the answer, on standard error."""
    sys.stderr.write(f"{text}\n")


def to_json(value: Any) -> str:
    """JSON for people and programs; what JSON has no type for becomes text."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows under their columns, which are as wide as they must be; empty without rows."""
    if not rows:
        return ""
    lines = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
