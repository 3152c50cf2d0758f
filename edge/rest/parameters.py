"""The parameters that several operations share, and the formats to declare others with."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from contract import limits
from contract.user_ids import MAX_USER_ID_LENGTH, USER_ID_RULE, is_user_id
from edge.rest.operation import Format, Parameter, ValueT
from mesh.ids import is_object_id
from mesh.numbers import parse_number

NameT = TypeVar("NameT", bound=str)

MAX_CURSOR_LENGTH: Final = 200

OBJECT_ID: Final = Format(
    {"type": "string", "pattern": "^[0-9a-f]{24}$"},
    "must be 24 lower-case hexadecimal digits",
    lambda text: text if is_object_id(text) else None,
)
USER_ID: Final = Format(
    {"type": "string", "minLength": 1, "maxLength": MAX_USER_ID_LENGTH},
    USER_ID_RULE,
    lambda text: text if is_user_id(text) else None,
)


def number(most: int, *, default: int | None = None) -> Format[int]:
    """A number from 1 to ``most``; the document shows ``default``."""
    schema: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": most}
    if default is not None:
        schema["default"] = default

    def read(text: str) -> int | None:
        found = parse_number(text)
        return found if found is not None and 1 <= found <= most else None

    return Format(schema, f"must be a number from 1 to {most}", read)


def one_of(names: Mapping[NameT, ValueT]) -> Format[ValueT]:
    """One of the names, which stands for its value."""
    known: dict[str, ValueT] = {str(name): value for name, value in names.items()}
    return Format({"type": "string", "enum": list(known)}, f"must be one of {', '.join(known)}", known.get)


def text(most: int, rule: str) -> Format[str]:
    """A text of 1 to ``most`` characters; ``rule`` tells what it should be."""
    return Format(
        {"type": "string", "minLength": 1, "maxLength": most},
        rule,
        lambda found: found if 1 <= len(found) <= most else None,
    )


CHAT: Final = Parameter("chatId", "The chat.", OBJECT_ID, in_path=True)
LIMIT: Final = Parameter(
    "limit",
    "How many at most.",
    number(limits.PAGE_SIZE, default=limits.DEFAULT_PAGE_SIZE),
    default=limits.DEFAULT_PAGE_SIZE,
)
CURSOR: Final = Parameter(
    "cursor",
    "Where to go on: the `nextCursor` of the page before. Read nothing in it.",
    text(MAX_CURSOR_LENGTH, "must be the nextCursor of a page"),
    default="",
)
