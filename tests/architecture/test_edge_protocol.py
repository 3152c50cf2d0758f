"""What clients say and see cannot be merged without what its forms need: each is found by the descriptors."""

import re
from typing import Any, Final

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

import contract.limits
from contract.user_ids import MAX_USER_ID_LENGTH
from mesh.errors import CATEGORY_OF
from parley.common.v1.error_pb2 import ErrorReason
from parley.common.v1.options_pb2 import TextRule, bare, json, limits, names, tag, text
from parley.edge.v1.ack_pb2 import AckData
from parley.edge.v1.close_code_pb2 import CloseCode, Reconnect, close
from parley.edge.v1.command_pb2 import ClientFrame
from parley.edge.v1.event_pb2 import ServerFrame

INTEGERS: Final = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED64,
}
TIME: Final = re.compile(r"(\w+_at|last_seen|timestamp)_ms")
MAX_CLOSE_REASON: Final = 123


def option(described: Any, extension: Any) -> Any:
    return described.GetOptions().Extensions[extension]


def reached(root: Descriptor) -> dict[str, Descriptor]:
    """Every message that a frame may hold, by its name, the frame itself included."""
    found: dict[str, Descriptor] = {}
    waiting = [root]
    while waiting:
        message = waiting.pop()
        if message.full_name not in found:
            found[message.full_name] = message
            waiting.extend(field.message_type for field in message.fields if field.message_type)
    return found


SENT: Final = reached(ClientFrame.DESCRIPTOR)
SHOWN: Final = reached(ServerFrame.DESCRIPTOR)
ALL: Final = SENT | SHOWN


def fields_of(messages: dict[str, Descriptor]) -> list[Any]:
    return [
        pytest.param(field, id=field.full_name.removeprefix("parley."))
        for message in messages.values()
        for field in message.fields
    ]


@pytest.mark.parametrize("field", fields_of(SENT))
def test_what_clients_send_is_limited(field: FieldDescriptor) -> None:
    allowed = option(field, limits)
    if field.is_repeated:
        assert allowed.max_items
    if field.type == FieldDescriptor.TYPE_STRING:
        assert allowed.rule or allowed.max_length or allowed.elsewhere
    if field.type in INTEGERS:
        assert 0 < allowed.max <= 2**53
    assert field.type not in {FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_GROUP}


@pytest.mark.parametrize("rule", [number for number in TextRule.values() if number])
def test_a_rule_is_in_words_too_and_its_pattern_has_no_anchors(rule: int) -> None:
    form = option(TextRule.DESCRIPTOR.values_by_number[rule], text)
    assert form.words
    re.compile(form.pattern)
    assert not re.search(r"\^|\\[AZ]|\$", re.sub(r"\[[^]]*\]", "", form.pattern))


@pytest.mark.parametrize("field", fields_of(ALL))
def test_what_is_unique_by_a_field_has_that_field(field: FieldDescriptor) -> None:
    allowed = option(field, limits)
    if allowed.unique_by:
        assert allowed.unique
        assert field.message_type is not None
        assert allowed.unique_by in field.message_type.fields_by_name


@pytest.mark.parametrize("field", fields_of(SHOWN))
def test_times_are_shown_as_times(field: FieldDescriptor) -> None:
    assert option(field, json).rfc3339 == bool(TIME.fullmatch(field.name))
    if option(field, json).rfc3339:
        assert field.type == FieldDescriptor.TYPE_INT64


@pytest.mark.parametrize("field", fields_of(ALL))
def test_only_what_may_be_absent_is_left_out_when_it_is(field: FieldDescriptor) -> None:
    if option(field, json).omit_absent:
        assert field.has_presence
    if option(field, json).required:
        assert field.containing_oneof is None


def test_every_enum_says_how_json_names_it() -> None:
    enums = [field.enum_type for message in ALL.values() for field in message.fields if field.enum_type]
    assert {enum.name for enum in enums} == {"ErrorReason", "MessageStatus", "MessageType", "Role"}
    for enum in enums:
        form = option(enum, names)
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
        assert all(value.name.startswith(prefix) for value in enum.values)
        shown = {value.name.removeprefix(prefix).lower() for value in enum.values if value.number}
        # An error always has a reason; what else is shown has a name whatever its number is.
        assert form.upper_case or form.otherwise in shown


@pytest.mark.parametrize("message", list(ALL.values()), ids=list(ALL))
def test_every_oneof_says_how_json_shows_it(message: Descriptor) -> None:
    oneofs = [oneof for oneof in message.oneofs if not oneof.name.startswith("_")]  # not those of `optional`
    if option(message, bare):
        assert [len(oneof.fields) for oneof in oneofs] == [len(message.fields)]
    else:
        assert all(option(oneof, tag).property for oneof in oneofs)


@pytest.mark.parametrize("message", list(ALL.values()), ids=list(ALL))
def test_no_two_fields_have_one_name_in_json(message: Descriptor) -> None:
    shown = [field.json_name for field in message.fields]
    assert len(set(shown)) == len(shown)


def test_every_command_has_an_answer() -> None:
    commands = ClientFrame.DESCRIPTOR.oneofs_by_name["command"].fields
    answers = AckData.DESCRIPTOR.oneofs_by_name["command"].fields
    assert [field.name for field in commands] == [field.name for field in answers]


def test_clients_see_no_event_of_the_inside() -> None:
    # Those name chats that a receiver may not know.
    packages = {message.file.package for message in ALL.values()}
    assert packages == {"parley.common.v1", "parley.edge.v1"}


@pytest.mark.parametrize("number", [number for number in CloseCode.values() if number])
def test_every_close_code_has_its_advice(number: int) -> None:
    advice = option(CloseCode.DESCRIPTOR.values_by_number[number], close)
    assert len(advice.reason.encode()) <= MAX_CLOSE_REASON
    assert bool(advice.reason) == (number != 1006)  # which stands for a connection that ended without a code
    assert advice.reconnect != Reconnect.RECONNECT_UNSPECIFIED
    assert advice.advice
    assert 1000 <= number < 1015 or 4000 <= number < 5000


def test_an_error_ends_a_session_with_one_code() -> None:
    named = [
        ErrorReason.Name(reason) for code in CloseCode.DESCRIPTOR.values for reason in option(code, close).of
    ]
    assert len(set(named)) == len(named) > 0


@pytest.mark.parametrize("reason", [number for number in ErrorReason.values() if number])
def test_the_code_of_an_error_is_its_name_without_the_prefix(reason: ErrorReason.ValueType) -> None:
    shown = ErrorReason.Name(reason).removeprefix("ERROR_REASON_")
    assert CATEGORY_OF[reason](reason, "why").code == shown


@pytest.mark.parametrize(
    ("name", "option_name", "limit"),
    [
        ("SendMessage.mentions", "max_items", contract.limits.MENTIONS),
        ("SendMessage.mentions", "max_length", MAX_USER_ID_LENGTH),
        ("JoinChats.chat_ids", "max_items", contract.limits.CHATS_PER_CALL),
        ("LeaveChats.chat_ids", "max_items", contract.limits.CHATS_PER_CALL),
        ("Resume.chats", "max_items", contract.limits.CHATS_PER_CALL),
    ],
)
def test_limits_are_those_that_the_services_hold(name: str, option_name: str, limit: int) -> None:
    message, _, field = name.partition(".")
    declared = SENT[f"parley.edge.v1.{message}"].fields_by_name[field]
    assert getattr(option(declared, limits), option_name) == limit


def test_a_key_of_a_message_is_as_long_as_it_may_be() -> None:
    pattern = option(TextRule.DESCRIPTOR.values_by_name["TEXT_RULE_CLIENT_KEY"], text).pattern
    assert re.fullmatch(pattern, "k" * contract.limits.CLIENT_MSG_ID_LENGTH)
    assert not re.fullmatch(pattern, "k" * (contract.limits.CLIENT_MSG_ID_LENGTH + 1))
