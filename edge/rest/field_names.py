"""The names that fields have in the API, in place of those of the services behind it."""

import re
from typing import Final

from mesh.errors import InvalidArgument

_FIELD: Final = r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*"
_FIELDS: Final = re.compile(rf"({_FIELD}(?:, {_FIELD})*)(: .*)", re.DOTALL)
"""How a message of notify_service begins: `preferences.quiet_hours.time_zone: is not …`."""
_WRAPPERS: Final = frozenset({"preferences", "spec", "chat"})
"""Messages inside a request whose fields are the body itself here."""
_OTHER_NAMES: Final = {
    "web_push_keys": "keys",
    "until_ms": "until",
    "start_minute": "start",
    "end_minute": "end",
    "before_id": "before",
}
"""All others are the same words in camelCase."""


def as_clients_know_them(error: InvalidArgument) -> InvalidArgument:
    """The same error; where its message begins with names of fields, with the API's names."""
    if (match := _FIELDS.fullmatch(error.message)) is None:
        return error
    names = ", ".join(map(_path, match[1].split(", ")))
    return InvalidArgument(error.reason, names + match[2], retry_after_ms=error.retry_after_ms)


def _path(path: str) -> str:
    names = path.split(".")
    if len(names) > 1 and names[0] in _WRAPPERS:
        del names[0]
    return ".".join(map(_name, names))


def _name(name: str) -> str:
    first, *others = name.split("_")
    return _OTHER_NAMES.get(name) or first + "".join(map(str.capitalize, others))
