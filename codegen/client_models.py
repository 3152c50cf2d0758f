"""Writes `declared.py` of the Python client, which has no protobuf and no msgspec: models and close codes."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from codegen.load import event_name, reached, upper_snake
from codegen.protocol import PACKAGE, Protocol
from codegen.schema import Field, Message, Schema
from parley.edge.v1.close_code_pb2 import Reconnect

MODELS: Final = ("Message", "Chat", "Sent", "ChatHead", "ResumedChat")
"""What the client shows or works with; what is in these is written too."""
_HEADER: Final = '''\
"""What the server shows, as dataclasses, and what its close codes ask for.

Written by `make documents` from `protos/parley/edge/v1`. Properties that a newer server adds are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

Json: TypeAlias = Mapping[str, Any]
'''
_SCALARS: Final = {"string": "str", "bool": "bool", "int": "int", "enum": "str"}


def write(protocol: Protocol, names: Iterable[str] = MODELS) -> str:
    """The source of the module, with the messages of these names and all that is in them."""
    schema = protocol.schema
    lines = [_HEADER, *_close_codes(schema)]
    models = [message for message in protocol.shown() if message.name in names]
    for message in reached(schema, models):
        lines += _choice(schema, message) if message.oneofs else _model(schema, message)
    return "\n".join((*lines, ""))


def _close_codes(schema: Schema) -> Iterator[str]:
    for name, reconnect, about in (
        (
            "FINAL_CLOSE_CODES",
            Reconnect.RECONNECT_NO,
            "Not to come back after, before something was changed.",
        ),
        ("NEW_TOKEN_CLOSE_CODES", Reconnect.RECONNECT_NEW_TOKEN, "To come back after with another token."),
    ):
        codes = [
            code.number
            for code in schema.enums[f"{PACKAGE}.CloseCode"].values
            if code.close.reconnect == reconnect
        ]
        yield f"{name}: Final = frozenset(({', '.join(map(str, codes))},))"
        yield f'"""{about}"""'


def _model(schema: Schema, message: Message) -> Iterator[str]:
    yield f"\n\n@dataclass(frozen=True, slots=True)\nclass {message.name}:"
    yield _docstring(message.about)
    for field in message.shown:
        yield f"\n    {field.attribute}: {_type(schema, field)}"
        yield _docstring(field.shown_about)
    yield from _parser(message.name)
    yield f"    return {message.name}("
    yield from (f"        {field.attribute}={_read(schema, field)}," for field in message.shown)
    yield "    )"


def _choice(schema: Schema, message: Message) -> Iterator[str]:
    (oneof,) = message.oneofs
    inner = {event_name(field): schema.message_of(field) for field in oneof.fields}
    yield f"\n\n{message.name}: TypeAlias = {' | '.join(each.name for each in inner.values())}"
    yield f'"""{message.about}"""'
    yield from _parser(message.name)
    *others, last = inner
    for name in others:
        yield f'    if data["{oneof.tag.property}"] == "{name}":'
        yield f"        return {_parse(inner[name])}(data)"
    yield f"    return {_parse(inner[last])}(data)"


def _parser(name: str) -> Iterator[str]:
    yield f"\n\ndef {upper_snake(name).lower()}_from(data: Json) -> {name}:"
    yield '    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""'


def _parse(message: Message) -> str:
    return upper_snake(message.name).lower() + "_from"


def _type(schema: Schema, field: Field) -> str:
    if field.kind == "message":
        kind = schema.message_of(field).name
    else:
        kind = "datetime" if field.json.rfc3339 else _SCALARS[field.kind]
    if field.repeated:
        return f"tuple[{kind}, ...]"
    return f"{kind} | None" if field.optional else kind


def _read(schema: Schema, field: Field) -> str:
    value = f'data["{field.shown_name}"]'
    if field.repeated:
        one = _value(schema, field, "each")
        return f"tuple({value})" if one == "each" else f"tuple({one} for each in {value})"
    if not field.optional:
        return _value(schema, field, value)
    absent = f'data.get("{field.shown_name}")'
    shown = _value(schema, field, value)
    return absent if shown == value else f"None if {absent} is None else {shown}"


def _value(schema: Schema, field: Field, value: str) -> str:
    if field.kind == "message":
        return f"{_parse(schema.message_of(field))}({value})"
    return f"datetime.fromisoformat({value})" if field.json.rfc3339 else value


def _docstring(about: str) -> str:
    return textwrap.fill(f'"""{about}"""', 110, initial_indent="    ", subsequent_indent="    ")
