"""What the generators know of the contract: messages, their fields and enums, with comments and options."""

from collections.abc import Mapping
from dataclasses import dataclass

from parley.common.v1.options_pb2 import EnumNames, JsonForm, Limits, Tag, TextForm
from parley.edge.v1.close_code_pb2 import CloseAdvice


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `kind` is `string`, `bool`, `int`, `message` or `enum`: `type_name` says which of these two.

    `optional` fields tell whether they are set; those of a oneof are not optional, their oneof is. `logged`
    ones are kinds of events that have a position in a log.
    """

    name: str
    json_name: str
    about: str
    kind: str
    type_name: str
    repeated: bool
    optional: bool
    logged: bool
    limits: Limits
    json: JsonForm

    @property
    def shown_name(self) -> str:
        """Its name in JSON: a time is shown as a time, so it loses its unit."""
        return self.json_name.removesuffix("Ms") if self.json.rfc3339 else self.json_name

    @property
    def shown_about(self) -> str:
        """Its comment, for readers of JSON: a time is shown as a time."""
        return self.about.replace(", Unix milliseconds", "") if self.json.rfc3339 else self.about

    @property
    def attribute(self) -> str:
        """Its name in Python."""
        return self.name.removesuffix("_ms") if self.json.rfc3339 else self.name


@dataclass(frozen=True, slots=True)
class Oneof:
    """A oneof. `tag` has no property where the message is bare."""

    name: str
    about: str
    tag: Tag
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A message; `fields` are those outside of oneofs. `file` is that of its declaration, below `protos/`."""

    full_name: str
    file: str
    about: str
    bare: bool
    fields: tuple[Field, ...]
    oneofs: tuple[Oneof, ...]

    @property
    def name(self) -> str:
        """Its name without the package."""
        return self.full_name.rpartition(".")[2]

    @property
    def shown(self) -> tuple[Field, ...]:
        """The fields outside of oneofs that clients see."""
        return tuple(field for field in self.fields if not field.json.internal)


@dataclass(frozen=True, slots=True)
class Value:
    """One value of an enum. `name` lacks the prefix that all values of the enum have."""

    name: str
    number: int
    about: str
    hidden: bool
    text: TextForm
    close: CloseAdvice


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum, with all values but 0. `file` is that of its declaration, below `protos/`."""

    full_name: str
    file: str
    about: str
    names: EnumNames
    values: tuple[Value, ...]

    @property
    def name(self) -> str:
        """Its name without the package."""
        return self.full_name.rpartition(".")[2]

    @property
    def is_open(self) -> bool:
        """Whether clients may meet names that are not in the contract that they know."""
        return not self.names.otherwise

    def shown_as(self, value: Value) -> str:
        """The name of a value in JSON."""
        return value.name if self.names.upper_case else value.name.lower()


@dataclass(frozen=True, slots=True)
class Schema:
    """Everything, by full name without a leading dot."""

    messages: Mapping[str, Message]
    enums: Mapping[str, Enum]

    def message_of(self, field: Field) -> Message:
        """The type of a field that holds messages."""
        return self.messages[field.type_name]

    def enum_of(self, field: Field) -> Enum:
        """The type of a field that holds values of an enum."""
        return self.enums[field.type_name]
