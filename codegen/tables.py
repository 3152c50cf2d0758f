"""Writes the tables of `docs/websocket-protocol.md`: commands, events, close codes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from codegen.load import event_name
from codegen.protocol import PACKAGE, Protocol
from codegen.python_types import rule_of
from codegen.schema import Field, Message, Schema

_MANY: Final = 8
"""Properties of an inner object; one with more of them is named instead."""

_SAFE_INTEGER: Final = 1 << 53
"""Up to here JavaScript's numbers are exact."""


def commands(protocol: Protocol) -> Iterator[str]:
    """What a client may send, and what comes of it."""
    schema, acks = protocol.schema, {field.name: field for field in protocol.acks}
    yield from _head("event", "what for", "`data`", "`data` of the ack")
    for command in protocol.commands:
        data = ", ".join(_limited(schema, field) for field in schema.message_of(command).shown)
        ack = _properties(schema, schema.message_of(acks[command.name]))
        yield _row(f"`{event_name(command)}`", command.about, data, ack)


def events(protocol: Protocol) -> Iterator[str]:
    """What the edge sends unasked."""
    yield from _head("event", "when", "`data`")
    for event in protocol.events:
        data = _properties(protocol.schema, protocol.schema.message_of(event))
        yield _row(f"`{event_name(event)}`", event.about, data)


def close_codes(protocol: Protocol) -> Iterator[str]:
    """What a connection ends with."""
    yield from _head("code", "meaning", "come back?")
    for code in protocol.schema.enums[f"{PACKAGE}.CloseCode"].values:
        yield _row(str(code.number), code.about.removesuffix("."), code.close.advice)


TABLES: Final[Mapping[str, Callable[[Protocol], Iterable[str]]]] = {
    "commands": commands,
    "events": events,
    "close codes": close_codes,
}
"""By the names that the page has in its marks."""


def renew(page: str, protocol: Protocol) -> str:
    """The page with its tables as they are now.

    Raises:
        ValueError: the page does not say where a table begins or ends.
    """
    for name, write in TABLES.items():
        begin, end = f"<!-- {name}: written by codegen -->\n", f"<!-- end of {name} -->"
        before, found, rest = page.partition(begin)
        _, found_end, after = rest.partition(end)
        if not found or not found_end:
            raise ValueError(f"the page has no place for the table of {name}")
        page = f"{before}{begin}\n" + "\n".join(write(protocol)) + f"\n\n{end}{after}"
    return page


def _head(*columns: str) -> Iterator[str]:
    yield _row(*columns)
    yield "|" + "---|" * len(columns)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _properties(schema: Schema, message: Message) -> str:
    return f"`{message.name}`" if message.oneofs else f"`{{{_inner(schema, message)}}}`"


def _inner(schema: Schema, message: Message) -> str:
    return ", ".join(_shape(schema, field) for field in message.shown)


def _shape(schema: Schema, field: Field) -> str:
    """A property, with those of the objects in it; `?` where it may be null or missing."""
    name = field.shown_name + "?" * field.optional
    if field.kind != "message":
        return f"{name}: []" if field.repeated else name
    message = schema.message_of(field)
    inner = f"{{{_inner(schema, message)}}}" if 0 < len(message.shown) <= _MANY else message.name
    return f"{name}: [{inner}]" if field.repeated else f"{name}: {inner}"


def _limited(schema: Schema, field: Field) -> str:
    """A property that clients fill in, with its limits."""
    limits = field.limits
    told = [*_items(field), *_values(schema, field)]
    if limits.unique:
        told.append(f"each `{_camel(limits.unique_by)}` once" if limits.unique_by else "each once")
    if not field.json.required:
        usual = f"`{schema.enum_of(field).names.otherwise}` when" if field.kind == "enum" else "may be"
        told.append(f"{usual} left out")
    name = f"`{field.shown_name}`"
    if field.kind == "message":
        inner = ", ".join(_limited(schema, each) for each in schema.message_of(field).shown)
        told.insert(0, f"objects of {inner}")
    return f"{name} ({'; '.join(told)})" if told else name


def _items(field: Field) -> Iterator[str]:
    if field.repeated:
        at_least = f"{field.limits.min_items} to " if field.limits.min_items else "up to "
        yield f"{at_least}{field.limits.max_items:,}"


def _values(schema: Schema, field: Field) -> Iterator[str]:
    limits = field.limits
    if limits.rule:
        rule = rule_of(schema, field)
        if rule.name != "OBJECT_ID":  # which the page has said before
            yield rule.text.words.removeprefix("of ")
    if limits.max_length:
        yield f"{limits.min_length} to {limits.max_length} characters"
    if limits.max:
        yield f"{limits.min} to {_number(limits.max)}"
    if field.kind == "enum":
        enum = schema.enum_of(field)
        yield ", ".join(f"`{enum.shown_as(value)}`" for value in enum.values if not value.hidden)


def _number(value: int) -> str:
    return "2^53" if value == _SAFE_INTEGER else f"{value:,}"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
