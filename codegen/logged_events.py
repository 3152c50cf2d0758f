"""Writes `logged_events.py`: from an entry of a chat's log to what is shown of it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from codegen.conversions import from_pb, names_of, read
from codegen.protocol import Protocol, frame_class
from codegen.schema import Field, Message, Schema

_EVENT: Final = "parley.events.v1.ChatEvent"
_OF_THE_ENTRY: Final = frozenset({"chat_id", "seq", "number", "epoch"})
"""Whatever the kind says of these: a position is given after the rest was encoded."""
_HEADER: Final = '''\
"""From an entry of a chat's log to what is shown of it.

Written by `codegen` from `protos/parley/events/v1/chat_event.proto` and `protos/parley/edge/v1`: a kind is
shown by the message of the same name, whose fields are those of the kind and of the entry.
"""

from collections.abc import Callable
from typing import Final

from mesh.clock import to_rfc3339

from parley.edge.v1 import frames
from parley.edge.v1.conversions import (
{used}
)
from parley.events.v1.chat_event_pb2 import ChatEvent
'''


def write(protocol: Protocol) -> str:
    """The source of the module.

    Raises:
        LookupError: a kind that is logged has no message that shows it.
    """
    schema = protocol.schema
    events = {schema.message_of(event).name: event for event in protocol.events}
    (body,) = schema.messages[_EVENT].oneofs
    kinds = [(kind, events[schema.message_of(kind).name]) for kind in body.fields if kind.logged]
    used = {name for _, event in kinds for name in _used(schema, schema.message_of(event))}
    lines = [_HEADER.format(used="\n".join(f"    {name}," for name in sorted(used)))]
    for kind, event in kinds:
        lines += _reader(schema, kind, schema.message_of(event))
    lines.append("\nDATA: Final[dict[str, Callable[[ChatEvent], frames.Data]]] = {")
    lines += [f'    "{kind.name}": {kind.name}_data,' for kind, _ in kinds]
    lines.append("}")
    lines.append("FRAMES: Final[dict[str, Callable[[ChatEvent], frames.ServerFrame]]] = {")
    for kind, event in kinds:
        made = f"frames.{frame_class(event)}({kind.name}_data(entry))"
        lines.append(f'    "{kind.name}": lambda entry: {made},')
    lines.append("}")
    return "\n".join((*lines, ""))


def _used(schema: Schema, shown: Message) -> Iterator[str]:
    for field in shown.shown:
        if field.kind == "message":
            yield from_pb(schema.message_of(field))
        elif field.kind == "enum":
            yield names_of(schema.enum_of(field))


def _reader(schema: Schema, kind: Field, shown: Message) -> Iterator[str]:
    own = {field.name: field for field in schema.message_of(kind).fields}
    yield f"\ndef {kind.name}_data(entry: ChatEvent) -> frames.{shown.name}:"
    yield f'    """{kind.about}"""'
    yield f"    source = entry.{kind.name}"
    yield f"    return frames.{shown.name}("
    for field in shown.shown:
        if field.name in _OF_THE_ENTRY or field.name not in own:
            value = read(schema, replace(field, optional=False), "entry")
        elif field.optional and not own[field.name].optional:
            value = f"{read(schema, replace(field, optional=False))} or None"
        else:
            value = read(schema, field)
        yield f"        {field.attribute}={value},"
    yield "    )"
    yield ""
