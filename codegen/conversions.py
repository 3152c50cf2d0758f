"""Writes `conversions.py`: from protobuf to what clients are shown."""

from collections.abc import Iterable, Iterator
from typing import Final

from codegen.load import upper_snake
from codegen.protocol import Protocol
from codegen.schema import Enum, Field, Message, Schema

_SHARED: Final = "parley/common/"
"""Where the messages are declared that services send one another and clients see."""
_HEADER: Final = '''\
"""From protobuf to what clients are shown. Whatever the numbers of enums are, there is something to show.

Written by `codegen` from `protos/parley/edge/v1`.
"""

from typing import Final

from mesh.clock import to_rfc3339
from msgspec import UNSET
'''


def write(protocol: Protocol) -> str:
    """The source of the module."""
    schema = protocol.schema
    shown = [message for message in protocol.shown() if message.file.startswith(_SHARED)]
    lines = [_HEADER, *_imports(shown), "from parley.edge.v1 import frames"]
    for enum in _enums(schema, shown):
        lines += _names(enum)
    for message in shown:
        lines += _reader(schema, message)
    return "\n".join((*lines, ""))


def module(message: Message | Enum) -> str:
    """The name of the module of a class: `common_chat` for `parley/common/v1/chat.proto`."""
    _, package, _, file = message.file.split("/")
    return f"{package}_{file.removesuffix('.proto')}"


def from_pb(message: Message) -> str:
    """The name of the function that shows a message."""
    return upper_snake(message.name).lower() + "_from_pb"


def _imports(messages: Iterable[Message]) -> list[str]:
    imports = {
        f"from {message.file.rpartition('/')[0].replace('/', '.')} import "
        f"{message.file.rpartition('/')[2].removesuffix('.proto')}_pb2 as {module(message)}"
        for message in messages
    }
    return sorted(imports)


def _enums(schema: Schema, messages: Iterable[Message]) -> list[Enum]:
    fields = [field for message in messages for field in message.shown if field.kind == "enum"]
    return [schema.enums[name] for name in dict.fromkeys(field.type_name for field in fields)]


def names_of(enum: Enum) -> str:
    """The name of the table of an enum's names in JSON."""
    return upper_snake(enum.name) + "_NAMES"


def numbers_of(enum: Enum) -> str:
    """The name of the table that leads from an enum's names in JSON to its values."""
    return upper_snake(enum.name) + "_NUMBERS"


def _names(enum: Enum) -> Iterator[str]:
    shown = [value for value in enum.values if not value.hidden]
    yield f"\n{names_of(enum)}: Final[dict[int, frames.{enum.name}]] = {{"
    yield from (f'    {value.number}: "{enum.shown_as(value)}",' for value in shown)
    kind = f"{module(enum)}.{enum.name}.ValueType"
    yield f"}}\n{numbers_of(enum)}: Final[dict[frames.{enum.name}, {kind}]] = {{"
    prefix = f"{module(enum)}.{upper_snake(enum.name)}"
    yield from (f'    "{enum.shown_as(value)}": {prefix}_{value.name},' for value in shown)
    yield "}"


def _reader(schema: Schema, message: Message) -> Iterator[str]:
    yield f"\n\ndef {from_pb(message)}(source: {module(message)}.{message.name}) -> frames.{message.name}:"
    yield f'    """{message.about}"""'
    yield f"    return frames.{message.name}("
    yield from (f"        {field.attribute}={_read(schema, field)}," for field in message.shown)
    yield "    )"


def _read(schema: Schema, field: Field) -> str:
    value = f"source.{field.name}"
    if field.repeated:
        one = _value(schema, field, "each")
        return f"list({value})" if one == "each" else f"[{one} for each in {value}]"
    shown = _value(schema, field, value)
    if not field.optional:
        return shown
    absent = "UNSET" if field.json.omit_absent else "None"
    return f'{shown} if source.HasField("{field.name}") else {absent}'


def _value(schema: Schema, field: Field, value: str) -> str:
    if field.kind == "message":
        return f"{from_pb(schema.message_of(field))}({value})"
    if field.kind == "enum":
        enum = schema.enum_of(field)
        return f'{names_of(enum)}.get({value}, "{enum.names.otherwise}")'
    return f"to_rfc3339({value})" if field.json.rfc3339 else value
