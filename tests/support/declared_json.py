"""The JSON of messages of `parley.edge.v1` by their descriptors alone: generated code is held to it."""

import re
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message

from parley.common.v1.options_pb2 import bare, hidden, json, names, tag
from parley.edge.v1.command_pb2 import ClientFrame
from parley.edge.v1.event_pb2 import ServerFrame


def shown(message: Message) -> Any:
    """The JSON value of a message."""
    oneofs = [oneof for oneof in message.DESCRIPTOR.oneofs if not _is_optional(oneof)]
    if _option(message.DESCRIPTOR, bare):
        return _of_member(message, oneofs[0])[1]
    properties: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        form = _option(field, json)
        if form.internal or (field.containing_oneof and not _is_optional(field.containing_oneof)):
            continue
        if not _is_optional(field.containing_oneof) or message.HasField(field.name):
            properties[_name(field)] = _value(message, field)
        elif not form.omit_absent:
            properties[_name(field)] = None
    for oneof in oneofs:
        name, value = _of_member(message, oneof)
        if name is not None:
            told = _option(oneof, tag)
            inner = {told.content: value} if told.content else value
            properties = {told.property: name.replace("_", "-"), **properties, **inner}
    return properties


def server_frame(data: bytes) -> dict[str, Any]:
    """What a binary message of the edge says."""
    told: dict[str, Any] = shown(ServerFrame.FromString(data))
    return told


def client_frame(frame: dict[str, Any]) -> bytes:
    """A command as a binary message."""
    message = ClientFrame(traceparent=frame.get("traceparent") or "")
    if (frame_id := frame.get("id")) is not None:
        if isinstance(frame_id, str):
            message.id.text = frame_id
        else:
            message.id.number = frame_id
    command = getattr(message, frame["event"].replace("-", "_"))
    command.SetInParent()
    _fill(command, frame["data"])
    return message.SerializeToString()


def _fill(message: Any, data: dict[str, Any]) -> None:
    fields = {_name(field): field for field in message.DESCRIPTOR.fields}
    for name, value in data.items():
        field = fields.get(name)
        if field is None or value is None:
            continue
        if field.is_repeated:
            for each in value:
                if field.message_type is not None:
                    _fill(getattr(message, field.name).add(), each)
                else:
                    getattr(message, field.name).append(each)
        elif field.enum_type is not None:
            numbers = {text: number for number, text in _enum_names(field.enum_type).items()}
            setattr(message, field.name, numbers[value])
        else:
            setattr(message, field.name, value)


def _value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    return [_one(field, each) for each in value] if field.is_repeated else _one(field, value)


def _one(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return shown(value)
    if field.enum_type is not None:
        return _enum_names(field.enum_type).get(value, _option(field.enum_type, names).otherwise)
    if _option(field, json).rfc3339:
        seconds, millis = divmod(value, 1000)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z".rjust(24, "0")
    return value


def _of_member(message: Message, oneof: Any) -> tuple[str | None, Any]:
    name = message.WhichOneof(oneof.name)
    return name, None if name is None else _value(message, message.DESCRIPTOR.fields_by_name[name])


def _enum_names(enum: Any) -> dict[int, str]:
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
    told = {
        value.number: value.name.removeprefix(prefix)
        for value in enum.values
        if value.number and not _option(value, hidden)
    }
    return (
        told if _option(enum, names).upper_case else {number: name.lower() for number, name in told.items()}
    )


def _name(field: Any) -> str:
    name: str = field.json_name
    return name.removesuffix("Ms") if _option(field, json).rfc3339 else name


def _is_optional(oneof: Any) -> bool:
    """Whether it is how protobuf keeps an `optional` field."""
    return oneof is not None and bool(oneof.name == f"_{oneof.fields[0].name}")


def _option(described: Any, extension: Any) -> Any:
    return described.GetOptions().Extensions[extension]
