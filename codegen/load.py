"""From protoc's descriptors to the schema."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from codegen.schema import Enum, Field, Message, Oneof, Schema, Value
from parley.common.v1 import options_pb2
from parley.edge.v1 import close_code_pb2

_KINDS: Final[Mapping[int, str]] = {
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_MESSAGE: "message",
    FieldDescriptorProto.TYPE_ENUM: "enum",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
    FieldDescriptorProto.TYPE_DOUBLE: "float",
    FieldDescriptorProto.TYPE_FLOAT: "float",
}
"""All others are integers."""
# Where things stand in a file descriptor: the numbers of its fields (descriptor.proto).
_MESSAGES: Final = 4
_ENUMS: Final = 5
_FIELDS: Final = 2
_ONEOFS: Final = 8
_VALUES: Final = 2

_Path = tuple[int, ...]


def load(files: FileDescriptorSet) -> Schema:
    """The schema of files that were described with their comments. Messages inside messages are left out."""
    messages: dict[str, Message] = {}
    enums: dict[str, Enum] = {}
    for file in files.file:
        comments = _Comments(file)
        for number, message in enumerate(file.message_type):
            loaded = _message(file, message, comments, (_MESSAGES, number))
            messages[loaded.full_name] = loaded
        for number, enum in enumerate(file.enum_type):
            values = _enum(file, enum, comments, (_ENUMS, number))
            enums[values.full_name] = values
    return Schema(messages, enums)


class _Comments:
    """The first paragraphs of a file's comments, in one line each, by the paths of what they stand before."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._by_path = {
            tuple(location.path): " ".join(_paragraphs(location.leading_comments)[0].split())
            for location in file.source_code_info.location
            if location.leading_comments
        }

    def at(self, path: _Path) -> str:
        return self._by_path.get(path, "")


def _message(
    file: FileDescriptorProto, message: DescriptorProto, comments: _Comments, path: _Path
) -> Message:
    fields = [_field(field, comments.at((*path, _FIELDS, at))) for at, field in enumerate(message.field)]
    # An `optional` field is kept as a oneof of its own.
    in_oneof = [field.HasField("oneof_index") and not field.proto3_optional for field in message.field]
    oneofs = [
        Oneof(
            name=oneof.name,
            about=comments.at((*path, _ONEOFS, index)),
            tag=oneof.options.Extensions[options_pb2.tag],
            fields=tuple(
                loaded
                for loaded, field, inside in zip(fields, message.field, in_oneof, strict=True)
                if inside and field.oneof_index == index
            ),
        )
        for index, oneof in enumerate(message.oneof_decl)
    ]
    return Message(
        full_name=f"{file.package}.{message.name}",
        file=file.name,
        about=comments.at(path),
        bare=message.options.Extensions[options_pb2.bare],
        fields=tuple(field for field, inside in zip(fields, in_oneof, strict=True) if not inside),
        oneofs=tuple(oneof for oneof in oneofs if oneof.fields),
    )


def _field(field: FieldDescriptorProto, about: str) -> Field:
    return Field(
        name=field.name,
        json_name=field.json_name,
        about=about,
        kind=_KINDS.get(field.type, "int"),
        type_name=field.type_name.removeprefix("."),
        repeated=field.label == FieldDescriptorProto.LABEL_REPEATED,
        optional=field.proto3_optional,
        logged=field.options.Extensions[options_pb2.logged],
        limits=field.options.Extensions[options_pb2.limits],
        json=field.options.Extensions[options_pb2.json],
    )


def _enum(file: FileDescriptorProto, enum: EnumDescriptorProto, comments: _Comments, path: _Path) -> Enum:
    prefix = upper_snake(enum.name) + "_"
    return Enum(
        full_name=f"{file.package}.{enum.name}",
        file=file.name,
        about=comments.at(path),
        names=enum.options.Extensions[options_pb2.names],
        values=tuple(
            Value(
                name=value.name.removeprefix(prefix),
                number=value.number,
                about=comments.at((*path, _VALUES, at)),
                hidden=value.options.Extensions[options_pb2.hidden],
                text=value.options.Extensions[options_pb2.text],
                close=value.options.Extensions[close_code_pb2.close],
            )
            for at, value in enumerate(enum.value)
            if value.number
        ),
    )


def _paragraphs(comment: str) -> list[str]:
    return re.split(r"\n\s*\n", comment.strip())


def upper_snake(name: str) -> str:
    """`CloseCode` as `CLOSE_CODE`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def camel(name: str) -> str:
    """`send_message` as `SendMessage`."""
    return "".join(part.capitalize() for part in name.split("_"))


def event_name(field: Field) -> str:
    """How a oneof's member is called in JSON."""
    return field.name.replace("_", "-")


def reached(schema: Schema, roots: Iterable[Message]) -> list[Message]:
    """These messages and all that clients see in them, the inner ones first, each once."""
    found: dict[str, Message] = {}

    def visit(message: Message) -> None:
        if message.full_name not in found:
            for field in (*message.shown, *(each for oneof in message.oneofs for each in oneof.fields)):
                if field.kind == "message":
                    visit(schema.message_of(field))
            found[message.full_name] = message

    for root in roots:
        visit(root)
    return list(found.values())
