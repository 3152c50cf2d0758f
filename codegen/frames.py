"""Writes `frames.py`: what clients and the edge say, as typed structs whose JSON is the protocol's."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from codegen.load import camel, event_name
from codegen.protocol import Protocol, ack_class, frame_class
from codegen.python_types import annotation, choices, default, limited, pattern, rule_name, rules
from codegen.schema import Field, Message, Schema

_HEADER: Final = '''\
"""What clients and the edge say to each other, as structs whose JSON is the protocol's.

Written by `codegen` from `protos/parley/edge/v1`. What is decoded by msgspec keeps all limits.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

Timestamp: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 in UTC with milliseconds."""
'''
_BASES: Final = '''

class Data(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A JSON object with camelCase names."""


class Command(Data, frozen=True, kw_only=True):
    """What a client asks for. Properties that are not known are ignored."""


class ServerFrame(msgspec.Struct, frozen=True, tag_field="event"):
    """What the edge sends; its `event` is the tag of the class."""
'''
_ANSWERS: Final = '''

class Ack(ServerFrame, frozen=True, tag="ack"):
    """A command was carried out. `id` is the command's, null if it had none."""

    id: FrameId | None


class ErrorFrame(ServerFrame, frozen=True, tag="error"):
    """{about} `id` is null too where it could not be read."""

    id: FrameId | None
    data: {data}
'''


def write(protocol: Protocol) -> str:
    """The source of the module."""
    schema = protocol.schema
    commands = {field.type_name for field in protocol.commands}
    parts = [_HEADER, *_rules(schema), *_enums(protocol), _alias(schema, protocol.frame_id), _BASES]
    for message in protocol.sent():
        base = "Command" if message.full_name in commands else "Data"
        parts.append(_struct(schema, message, base, sent=True))
    tags = _tags(protocol)
    for message in protocol.shown():
        if message.oneofs:
            parts.append(f"\n\n{_alias(schema, message)}")
        else:
            parts.append(_struct(schema, message, "Data", tags.get(message.full_name, "")))
    parts.append(_answers(protocol))
    parts += [_class(ack_class(field), "Ack", field, 'tag="ack"', schema) for field in protocol.acks]
    parts += [
        _class(frame_class(field), "ServerFrame", field, f'tag="{event_name(field)}"', schema)
        for field in protocol.events
    ]
    parts += _tables(protocol)
    return "\n".join(parts)


def _rules(schema: Schema) -> Iterator[str]:
    for rule in rules(schema).values:
        yield f'{rule_name(rule)}: TypeAlias = Annotated[str, Meta(pattern=r"{pattern(rule)}")]'
        yield f'"""{rule.about}"""\n'
    yield "RULES_IN_WORDS: Final = {"
    yield from (f'    r"{pattern(rule)}": {rule.text.words!r},' for rule in rules(schema).values)
    yield '}\n"""What a client\'s developer should read instead of a regular expression."""\n'


def _enums(protocol: Protocol) -> Iterator[str]:
    schema = protocol.schema
    fields = [field for message in (*protocol.sent(), *protocol.shown()) for field in _all_fields(message)]
    named = dict.fromkeys(field.type_name for field in fields if field.kind == "enum")
    for enum in (schema.enums[name] for name in named):
        if not enum.is_open:
            names = ", ".join(f'"{enum.shown_as(value)}"' for value in enum.values if not value.hidden)
            yield f'{enum.name}: TypeAlias = Literal[{names}]\n"""{enum.about}"""\n'


def _alias(schema: Schema, message: Message) -> str:
    return f'{message.name}: TypeAlias = {choices(schema, message)}\n"""{message.about}"""'


def _tags(protocol: Protocol) -> dict[str, str]:
    """What tells those apart that a property holds one of, by their full names."""
    return {
        field.type_name: f', tag_field="{oneof.tag.property}", tag="{event_name(field)}"'
        for message in protocol.shown()
        for oneof in message.oneofs
        for field in oneof.fields
    }


def _struct(schema: Schema, message: Message, base: str, tag: str = "", *, sent: bool = False) -> str:
    lines = [f"\n\nclass {message.name}({base}, frozen=True, kw_only=True{tag}):", _docstring(message.about)]
    if message.shown:
        lines.append("")
    lines += [_property(schema, field, sent=sent) for field in message.shown]
    unique = [field for field in message.shown if field.limits.unique]
    if unique:
        lines += ["", "    def __post_init__(self) -> None:"]
        lines += [line for field in unique for line in _unique(field)]
    return "\n".join(lines)


def _property(schema: Schema, field: Field, *, sent: bool) -> str:
    value = default(schema, field) if sent or field.json.omit_absent else None
    options = [] if value is None else [f"default={value}" if value != "[]" else "default_factory=list"]
    if camel_case(field.attribute) != field.shown_name:
        options.append(f'name="{field.shown_name}"')
        value = f"msgspec.field({', '.join(options)})"
    shown = f"    {field.attribute}: {annotation(schema, field)}"
    return shown if value is None else f"{shown} = {value}"


def camel_case(name: str) -> str:
    """`chat_id` as `chatId`, as msgspec does it."""
    return name[0] + camel(name)[1:]


def _unique(field: Field) -> Iterator[str]:
    item = field.limits.unique_by
    values = f"{{each.{item} for each in self.{field.attribute}}}" if item else f"set(self.{field.attribute})"
    what = f"each {camel_case(item)} of {field.shown_name}" if item else f"each of {field.shown_name}"
    yield f"        if len({values}) < len(self.{field.attribute}):"
    yield f'            raise ValueError("{what} may be there once")'


def _answers(protocol: Protocol) -> str:
    (data,) = (field for field in protocol.refusal.fields if field.name == "data")
    return _ANSWERS.format(about=protocol.refusal.about, data=protocol.schema.message_of(data).name)


def _class(name: str, base: str, field: Field, tag: str, schema: Schema) -> str:
    return (
        f"\n\nclass {name}({base}, frozen=True, {tag}):\n{_docstring(field.about)}\n\n"
        f"    data: {limited(schema, field)}"
    )


def _tables(protocol: Protocol) -> Iterator[str]:
    yield from _table(
        "COMMANDS",
        "Command",
        ((event_name(each), each.type_name.rpartition(".")[2]) for each in protocol.commands),
    )
    yield from _table("ACKS", "Ack", ((event_name(each), ack_class(each)) for each in protocol.acks))
    yield from _table(
        "EVENTS", "ServerFrame", ((event_name(each), frame_class(each)) for each in protocol.events)
    )


def _table(name: str, base: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"\n{name}: Final[dict[str, type[{base}]]] = {{"
    yield from (f'    "{event}": {kind},' for event, kind in rows)
    yield "}"


def _docstring(about: str) -> str:
    return textwrap.fill(f'"""{about}"""', 110, initial_indent="    ", subsequent_indent="    ")


def _all_fields(message: Message) -> tuple[Field, ...]:
    return (*message.fields, *(field for oneof in message.oneofs for field in oneof.fields))
