"""The edge's frames are those that `protos/parley/edge/v1` declares: names, types, limits, close codes."""

import re
from typing import Any, Final

import msgspec
import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from msgspec import inspect

from edge.protocol import answers, close_codes, commands, frames
from mesh.errors import CATEGORY_OF
from parley.common.v1.error_pb2 import ErrorReason
from parley.common.v1.options_pb2 import bare, hidden, json, limits, names, tag
from parley.edge.v1.ack_pb2 import AckData
from parley.edge.v1.close_code_pb2 import CloseCode, close
from parley.edge.v1.command_pb2 import ClientFrame
from parley.edge.v1.event_pb2 import ServerFrame

ACKS: Final[dict[str, type[msgspec.Struct]]] = {
    "join_chats": answers.JoinedData,
    "leave_chats": answers.LeftData,
    "send_message": answers.SentData,
    "typing": answers.DoneData,
    "mark_read": answers.ReadData,
    "mark_chat_read": answers.ReadData,
    "resume": answers.ResumedData,
    "refresh_token": answers.ExpiryData,
}
RECONNECT: Final = {1: close_codes.Reconnect.YES, 2: close_codes.Reconnect.LATER, 3: close_codes.Reconnect.NO}


def option(described: Any, extension: Any) -> Any:
    return described.GetOptions().Extensions[extension]


def members(message: Descriptor, oneof: str) -> dict[str, FieldDescriptor]:
    return {field.name.replace("_", "-"): field for field in message.oneofs_by_name[oneof].fields}


def message_of(field: FieldDescriptor) -> Descriptor:
    assert field.message_type is not None
    return field.message_type


def json_name(field: FieldDescriptor) -> str:
    return field.json_name.removesuffix("Ms") if option(field, json).rfc3339 else field.json_name


def enum_names(enum: EnumDescriptor) -> set[str]:
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
    shown = {
        value.name.removeprefix(prefix) for value in enum.values if value.number and not option(value, hidden)
    }
    return shown if option(enum, names).upper_case else {name.lower() for name in shown}


def check_message(
    message: Descriptor, kind: type[msgspec.Struct] | inspect.StructType, *, sent: bool
) -> None:
    """Each property of the struct is a field of the message, and the other way round."""
    struct = kind if isinstance(kind, inspect.StructType) else inspect.type_info(kind)
    assert isinstance(struct, inspect.StructType)
    declared = {json_name(field): field for field in message.fields if not option(field, json).internal}
    written = {field.encode_name: field for field in struct.fields}
    assert written.keys() == declared.keys(), message.full_name
    for name, field in declared.items():
        if sent:
            assert written[name].required == option(field, json).required, field.full_name
        check_field(message, field, written[name], sent=sent)


def check_field(message: Descriptor, field: FieldDescriptor, written: inspect.Field, *, sent: bool) -> None:
    kind = written.type
    if option(field, json).omit_absent:
        assert not written.required, (
            field.full_name
        )  # `msgspec.UNSET`, which inspection takes out of the type
    elif field.name in optional_fields(message):
        kind = without_none(kind)
    if field.is_repeated:
        assert isinstance(kind, inspect.ListType), field.full_name
        if sent:
            allowed = option(field, limits)
            assert (kind.min_length or 0, kind.max_length) == (allowed.min_items, allowed.max_items)
        kind = kind.item_type
    check_value(field, kind, sent=sent)


def optional_fields(message: Descriptor) -> set[str]:
    """Those that are declared `optional`, which protobuf keeps as oneofs of their own."""
    return {oneof.fields[0].name for oneof in message.oneofs if oneof.name == f"_{oneof.fields[0].name}"}


def without_none(kind: inspect.Type) -> inspect.Type:
    assert isinstance(kind, inspect.UnionType)
    rest = [part for part in kind.types if not isinstance(part, inspect.NoneType)]
    assert len(rest) == len(kind.types) - 1
    return rest[0] if len(rest) == 1 else inspect.UnionType(tuple(rest))


def is_choice(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.name == "Chat"


def check_value(field: FieldDescriptor, kind: inspect.Type, *, sent: bool) -> None:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    allowed = option(field, limits)
    if is_choice(field):
        assert isinstance(kind, inspect.UnionType)
        check_choice(message_of(field), kind)
    elif field.message_type is not None:
        assert isinstance(kind, inspect.StructType), field.full_name
        check_message(field.message_type, kind, sent=sent)
    elif field.enum_type is not None and field.enum_type.name != "ErrorReason":
        assert isinstance(kind, inspect.LiteralType), field.full_name
        assert set(kind.values) == enum_names(field.enum_type)
    elif field.type == FieldDescriptor.TYPE_BOOL:
        assert isinstance(kind, inspect.BoolType), field.full_name
    elif field.type == FieldDescriptor.TYPE_STRING or field.enum_type or option(field, json).rfc3339:
        assert isinstance(kind, inspect.StrType), field.full_name
        pattern = rf"^{allowed.pattern}\Z" if allowed.pattern else None
        assert (kind.pattern, kind.min_length or 0, kind.max_length or 0) == (
            pattern,
            allowed.min_length,
            allowed.max_length,
        ), field.full_name
    else:
        assert isinstance(kind, inspect.IntType), field.full_name
        assert (kind.ge or 0, kind.le or 0) == (allowed.min, allowed.max), field.full_name


def check_choice(message: Descriptor, kind: inspect.UnionType) -> None:
    """A chat is one of two structs, whose tag says which."""
    (oneof,) = message.oneofs
    by_tag = {part.tag: part for part in kind.types if isinstance(part, inspect.StructType)}
    assert by_tag.keys() == {field.name for field in oneof.fields}
    for field in oneof.fields:
        assert by_tag[field.name].tag_field == option(oneof, tag).property
        check_message(message_of(field), by_tag[field.name], sent=False)


def test_the_commands_are_those_declared() -> None:
    declared = members(ClientFrame.DESCRIPTOR, "command")
    assert declared.keys() == commands.COMMANDS.keys()
    for name, field in declared.items():
        check_message(message_of(field), commands.COMMANDS[name], sent=True)


def test_what_may_be_there_once_is_refused_twice() -> None:
    for message, value in ((commands.Resume, "chats"), (commands.SendMessage, "mentions")):
        declared = next(
            field
            for command in members(ClientFrame.DESCRIPTOR, "command").values()
            for field in message_of(command).fields
            if message_of(command).name == message.__name__ and field.name == value
        )
        assert option(declared, limits).unique
    chat = "0" * 24
    twice = {
        "resume": {"chats": [{"chatId": chat, "seq": 1}, {"chatId": chat, "seq": 2}]},
        "send-message": {"chatId": chat, "content": "a", "clientMsgId": "a", "mentions": ["b", "b"]},
    }
    for event, data in twice.items():
        with pytest.raises(commands.FrameError, match="once"):
            commands.parse(msgspec.json.encode({"event": event, "data": data}).decode())


def test_the_answers_are_those_declared() -> None:
    assert option(AckData.DESCRIPTOR, bare)
    declared = AckData.DESCRIPTOR.oneofs_by_name["command"].fields
    assert {field.name for field in declared} == ACKS.keys()
    for field in declared:
        check_message(message_of(field), ACKS[field.name], sent=False)


def test_the_events_are_those_declared() -> None:
    declared = members(ServerFrame.DESCRIPTOR, "event")
    kinds: list[type[frames.ServerFrame]] = frames.ServerFrame.__subclasses__()
    written = {str(kind.__struct_config__.tag): kind for kind in kinds}
    assert written.keys() == declared.keys()
    for name, field in declared.items():
        (data,) = msgspec.structs.fields(written[name])
        assert data.encode_name == option(ServerFrame.DESCRIPTOR.oneofs_by_name["event"], tag).content
        check_message(message_of(field), data.type, sent=False)


def test_the_two_answers_have_their_id_beside_the_event() -> None:
    for name, field in members(ServerFrame.DESCRIPTOR, "answer").items():
        written: type[msgspec.Struct] = frames.Ack if name == "ack" else frames.Error
        assert written.__struct_config__.tag == name
        assert {part.encode_name for part in msgspec.structs.fields(written)} == {
            part.json_name for part in message_of(field).fields
        }


def test_an_error_is_what_is_declared() -> None:
    refusal = members(ServerFrame.DESCRIPTOR, "answer")["error"]
    data = message_of(refusal).fields_by_name["data"]
    (written,) = (part for part in msgspec.structs.fields(frames.Error) if part.encode_name == "data")
    check_message(message_of(data), written.type, sent=False)


@pytest.mark.parametrize("reason", [number for number in ErrorReason.values() if number])
def test_the_code_of_an_error_is_the_name_declared(reason: ErrorReason.ValueType) -> None:
    assert CATEGORY_OF[reason](reason, "why").code in enum_names(ErrorReason.DESCRIPTOR)


def test_the_ids_of_frames_are_as_declared() -> None:
    (oneof,) = message_of(ClientFrame.DESCRIPTOR.fields_by_name["id"]).oneofs
    written = inspect.type_info(commands.FrameId)
    assert isinstance(written, inspect.UnionType)
    text, number, none = written.types
    assert isinstance(none, inspect.NoneType)
    check_value(oneof.fields[0], text, sent=True)
    check_value(oneof.fields[1], number, sent=True)


def test_the_close_codes_are_those_declared() -> None:
    declared = {value.number: value for value in CloseCode.DESCRIPTOR.values if value.number}
    assert declared.keys() == {int(code) for code in close_codes.CloseCode}
    for code in close_codes.CloseCode:
        value = declared[code]
        advice = option(value, close)
        assert value.name == f"CLOSE_CODE_{code.name}"
        assert (code.reason, code.reconnect) == (advice.reason, RECONNECT[advice.reconnect])


def test_an_error_ends_a_session_with_the_code_declared() -> None:
    declared = {
        reason: value.number for value in CloseCode.DESCRIPTOR.values for reason in option(value, close).of
    }
    assert dict(close_codes._OF_REASON) == declared
