"""Writes `conversions.py`: between protobuf and what clients are shown, and what they ask for."""

from collections.abc import Iterable, Iterator
from typing import Final

from codegen.load import event_name, upper_snake
from codegen.protocol import PACKAGE, Protocol, ack_class, frame_class
from codegen.schema import Enum, Field, Message, Schema

_SHARED: Final = "parley/common/"
"""Where the messages are declared that services send one another and clients see."""
_HEADER: Final = '''\
"""Between protobuf and what clients are shown, and from protobuf to the data of commands.

Written by `codegen` from `protos/parley/edge/v1`. Whatever the numbers of enums are, there is something to
show. What comes of commands is not checked yet: it is for msgspec, like JSON.
"""

from collections.abc import Callable
from typing import Any, Final

from mesh.clock import from_rfc3339, to_rfc3339
from msgspec import UNSET
'''
_FRAMES: Final = '''

def frame_to_pb(frame: frames.ServerFrame) -> {server}:
    """The frame as a message."""
    return _FRAMES[type(frame)](frame)


def command_from_pb(source: {client}) -> tuple[str, dict[str, Any]] | None:
    """What is asked for: the event and its data as they are in JSON; None for what is not known."""
    name = source.WhichOneof("command")
    if name is None:
        return None
    event, read = _COMMANDS[name]
    return event, read(getattr(source, name))
'''


def write(protocol: Protocol) -> str:
    """The source of the module."""
    schema, shown = protocol.schema, protocol.shown()
    lines = [_HEADER, *_imports(protocol), "from parley.edge.v1 import frames"]
    for enum in _enums(schema, shown):
        lines += _names(enum)
    lines += _frame_id(protocol.frame_id)
    for message in shown:
        if message.file.startswith(_SHARED):
            lines += _reader(schema, message)
    for message in shown:
        lines += _choice(schema, message) if message.oneofs else _writer(schema, message)
    for message in protocol.sent():
        lines += _command_reader(schema, message)
    lines += [_FRAMES.format(client=_frame(schema, "ClientFrame"), server=_frame(schema, "ServerFrame"))]
    lines += _tables(protocol)
    return "\n".join((*lines, ""))


def module(declared: Message | Enum) -> str:
    """The name of the module of a class."""
    return _module(declared.file)


def from_pb(message: Message) -> str:
    """The name of the function that shows a message."""
    return upper_snake(message.name).lower() + "_from_pb"


def to_pb(message: Message) -> str:
    """The name of the function that makes a message of what is shown."""
    return upper_snake(message.name).lower() + "_to_pb"


def data_of(message: Message) -> str:
    """The name of the function that reads what a client sent."""
    return upper_snake(message.name).lower() + "_data"


def _imports(protocol: Protocol) -> list[str]:
    schema = protocol.schema
    files = {message.file for message in (*protocol.sent(), *protocol.shown(), protocol.frame_id)}
    files |= {enum.file for enum in _enums(schema, protocol.shown())}
    files |= {schema.messages[f"{PACKAGE}.{frame}"].file for frame in ("ClientFrame", "ServerFrame")}
    return sorted(
        f"from {file.rpartition('/')[0].replace('/', '.')} import {_stem(file)}_pb2 as {_module(file)}"
        for file in files
    )


def _stem(file: str) -> str:
    return file.rpartition("/")[2].removesuffix(".proto")


def _module(file: str) -> str:
    """`common_chat` for `parley/common/v1/chat.proto`."""
    return f"{file.split('/')[1]}_{_stem(file)}"


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
    kind = "str" if enum.is_open else f"frames.{enum.name}"
    if not enum.is_open:  # these are shown by whoever makes them
        yield f"\n{names_of(enum)}: Final[dict[int, {kind}]] = {{"
        yield from (f'    {value.number}: "{enum.shown_as(value)}",' for value in shown)
        yield "}"
    yield f"\n{numbers_of(enum)}: Final[dict[{kind}, {module(enum)}.{enum.name}.ValueType]] = {{"
    prefix = f"{module(enum)}.{upper_snake(enum.name)}"
    yield from (f'    "{enum.shown_as(value)}": {prefix}_{value.name},' for value in shown)
    yield "}"


def _frame_id(message: Message) -> Iterator[str]:
    kind = f"{module(message)}.{message.name}"
    yield f"\n\ndef {from_pb(message)}(source: {kind}) -> frames.{message.name}:"
    yield '    """Not checked yet."""'
    yield '    return source.text if source.HasField("text") else source.number'
    yield f"\n\ndef {to_pb(message)}(frame_id: frames.{message.name} | None) -> {kind} | None:"
    yield f'    """{message.about}"""'
    yield "    if frame_id is None:"
    yield "        return None"
    yield f"    return {kind}(text=frame_id) if isinstance(frame_id, str) else {kind}(number=frame_id)"


def _reader(schema: Schema, message: Message) -> Iterator[str]:
    yield f"\n\ndef {from_pb(message)}(source: {module(message)}.{message.name}) -> frames.{message.name}:"
    yield f'    """{message.about}"""'
    yield f"    return frames.{message.name}("
    yield from (f"        {field.attribute}={read(schema, field)}," for field in message.shown)
    yield "    )"


def read(schema: Schema, field: Field, source: str = "source") -> str:
    """What shows a field of `source`."""
    value = f"{source}.{field.name}"
    if field.repeated:
        one = _value(schema, field, "each")
        return f"list({value})" if one == "each" else f"[{one} for each in {value}]"
    shown = _value(schema, field, value)
    if not field.optional:
        return shown
    absent = "UNSET" if field.json.omit_absent else "None"
    return f'{shown} if {source}.HasField("{field.name}") else {absent}'


def _value(schema: Schema, field: Field, value: str) -> str:
    if field.kind == "message":
        return f"{from_pb(schema.message_of(field))}({value})"
    if field.kind == "enum":
        enum = schema.enum_of(field)
        return f'{names_of(enum)}.get({value}, "{enum.names.otherwise}")'
    return f"to_rfc3339({value})" if field.json.rfc3339 else value


def _writer(schema: Schema, message: Message) -> Iterator[str]:
    kind = f"{module(message)}.{message.name}"
    yield f"\n\ndef {to_pb(message)}(shown: frames.{message.name}) -> {kind}:"
    yield f'    """{message.about}"""'
    yield f"    return {kind}("
    yield from (f"        {field.name}={_write(schema, field)}," for field in message.shown)
    yield "    )"


def _choice(schema: Schema, message: Message) -> Iterator[str]:
    """For a message that shows one of several, whose classes tell which."""
    (oneof,) = message.oneofs
    kind = f"{module(message)}.{message.name}"
    *others, last = oneof.fields
    yield f"\n\ndef {to_pb(message)}(shown: frames.{message.name}) -> {kind}:"
    yield f'    """{message.about}"""'
    for field in others:
        inner = schema.message_of(field)
        yield f"    if isinstance(shown, frames.{inner.name}):"
        yield f"        return {kind}({field.name}={to_pb(inner)}(shown))"
    yield f"    return {kind}({last.name}={to_pb(schema.message_of(last))}(shown))"


def _write(schema: Schema, field: Field) -> str:
    value = f"shown.{field.attribute}"
    if field.repeated:
        one = _message_of(schema, field, "each")
        return value if one == "each" else f"[{one} for each in {value}]"
    made = _message_of(schema, field, value)
    if field.json.omit_absent:
        return f"None if {value} is UNSET else {made}"
    return f"None if {value} is None else {made}" if field.optional and made != value else made


def _message_of(schema: Schema, field: Field, value: str) -> str:
    if field.kind == "message":
        return f"{to_pb(schema.message_of(field))}({value})"
    if field.kind == "enum":
        enum = schema.enum_of(field)
        return f"{numbers_of(enum)}.get({value})" if enum.is_open else f"{numbers_of(enum)}[{value}]"
    return f"from_rfc3339({value})" if field.json.rfc3339 else value


def _command_reader(schema: Schema, message: Message) -> Iterator[str]:
    kind = f"{module(message)}.{message.name}"
    yield f"\n\ndef {data_of(message)}(source: {kind}) -> dict[str, Any]:"
    yield f'    """{message.about}"""'
    yield "    return {"
    yield from (f'        "{field.shown_name}": {_sent(schema, field)},' for field in message.shown)
    yield "    }"


def _sent(schema: Schema, field: Field) -> str:
    value = f"source.{field.name}"
    if field.repeated:
        # One more than may be there says as well that they are too many.
        some = f"{value}[: {field.limits.max_items + 1}]"
        return (
            f"[{data_of(schema.message_of(field))}(each) for each in {some}]"
            if field.kind == "message"
            else some
        )
    if field.kind == "enum":
        enum = schema.enum_of(field)
        return f'{names_of(enum)}.get({value}, str({value})) if {value} else "{enum.names.otherwise}"'
    if field.kind == "message":
        value = f"{data_of(schema.message_of(field))}({value})"
    return f'{value} if source.HasField("{field.name}") else None' if field.optional else value


def _frame(schema: Schema, name: str) -> str:
    return f"{module(schema.messages[f'{PACKAGE}.{name}'])}.{name}"


def _tables(protocol: Protocol) -> Iterator[str]:
    schema = protocol.schema
    frame = _frame(schema, "ServerFrame")
    acks = module(protocol.refusal)
    yield f"\n_FRAMES: Final[dict[type[frames.ServerFrame], Callable[[Any], {frame}]]] = {{"
    for field in protocol.acks:
        made = f"{field.name}={to_pb(schema.message_of(field))}(frame.data)"
        yield f"    frames.{ack_class(field)}: lambda frame: {frame}("
        yield f"        ack={acks}.Ack(id=frame_id_to_pb(frame.id), data={acks}.AckData({made}))"
        yield "    ),"
    yield f"    frames.ErrorFrame: lambda frame: {frame}("
    yield f"        error={acks}.Refusal(id=frame_id_to_pb(frame.id), data=error_to_pb(frame.data))"
    yield "    ),"
    for field in protocol.events:
        made = f"{field.name}={to_pb(schema.message_of(field))}(frame.data)"
        yield f"    frames.{frame_class(field)}: lambda frame: {frame}({made}),"
    yield "}"
    yield "_COMMANDS: Final[dict[str, tuple[str, Callable[[Any], dict[str, Any]]]]] = {"
    for field in protocol.commands:
        yield f'    "{field.name}": ("{event_name(field)}", {data_of(schema.message_of(field))}),'
    yield "}"
