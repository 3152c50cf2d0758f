"""The rules of chats, one by one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_service.domain import rules
from chat_service.domain.model import ChatKind, Group, GroupSettings, Role
from mesh.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from parley.common.v1.message_pb2 import Message, MessageType

CHAT = "65a1b2c3d4e5f60718293a4b"


TYPES = (MessageType.MESSAGE_TYPE_TEXT, MessageType.MESSAGE_TYPE_IMAGE, MessageType.MESSAGE_TYPE_FILE)


def message(**changes: object) -> Message:
    fields: dict[str, object] = {
        "sender_id": "alice",
        "chat_id": CHAT,
        "type": MessageType.MESSAGE_TYPE_TEXT,
        "content": "hello",
        "client_msg_id": "m-1",
    }
    return Message(**{**fields, **changes})  # type: ignore[arg-type] # the tests pass what clients might


@pytest.mark.parametrize("type_", TYPES)
def test_a_valid_message_may_be_sent(type_: MessageType.ValueType) -> None:
    rules.check_message(message(type=type_), 10)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": MessageType.MESSAGE_TYPE_UNSPECIFIED}, "INVALID_ARGUMENT"),
        ({"type": 99}, "INVALID_ARGUMENT"),
        ({"chat_id": "nope"}, "INVALID_ARGUMENT"),
        ({"chat_id": CHAT.upper()}, "INVALID_ARGUMENT"),
        ({"sender_id": ""}, "INVALID_ARGUMENT"),
        ({"sender_id": "x" * 129}, "INVALID_ARGUMENT"),
        ({"sender_id": "a\nb"}, "INVALID_ARGUMENT"),
        ({"client_msg_id": ""}, "INVALID_ARGUMENT"),
        ({"client_msg_id": "x" * 65}, "INVALID_ARGUMENT"),
        ({"client_msg_id": "a b"}, "INVALID_ARGUMENT"),
        ({"content": ""}, "INVALID_CONTENT"),
        ({"content": " \n\t"}, "INVALID_CONTENT"),
        ({"content": "x" * 11}, "INVALID_CONTENT"),
        ({"mentions": tuple(f"u{n}" for n in range(51))}, "INVALID_ARGUMENT"),
        ({"mentions": ("bob", "carol", "bob")}, "INVALID_ARGUMENT"),
        ({"mentions": ("",)}, "INVALID_ARGUMENT"),
        ({"mentions": ("x" * 129,)}, "INVALID_ARGUMENT"),
    ],
)
def test_a_bad_message_is_refused_with_its_reason(changes: dict[str, object], code: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        rules.check_message(message(**changes), 10)
    assert refused.value.code == code


@given(st.text(), st.text(), st.text(), st.text())
def test_any_message_is_valid_or_refused_with_a_type(user: str, chat: str, content: str, key: str) -> None:
    with suppress(InvalidArgument):  # any other exception fails the test
        rules.check_message(message(sender_id=user, chat_id=chat, content=content, client_msg_id=key), 4_096)


def test_a_limit_counts_characters_not_bytes() -> None:
    rules.check_message(message(content="\N{GRINNING FACE}" * 10), 10)


def test_fifty_users_may_be_mentioned() -> None:
    rules.check_message(message(mentions=[f"u{n}" for n in range(50)]), 10)


def test_fingerprints_tell_content_type_and_mentions_apart() -> None:
    prints = {
        rules.fingerprint(Message(type=type_, content=text, mentions=mentions))
        for type_ in TYPES
        for text in ("a", "b", "")
        for mentions in ((), ("a",), ("a", "b"), ("b", "a"))
    }
    assert len(prints) == 36
    assert rules.fingerprint(message(id="a" * 24)) == rules.fingerprint(message(id="b" * 24))


def group(**changes: object) -> Group:
    fields: dict[str, object] = {
        "name": "Team",
        "description": "",
        "avatar": "",
        "settings": GroupSettings(),
        "member_ids": ("bob",),
    }
    return Group(**{**fields, **changes})  # type: ignore[arg-type] # as above


def test_a_group_may_have_no_other_members() -> None:
    rules.check_group(group(member_ids=()))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 101},
        {"description": "x" * 1_001},
        {"avatar": "x" * 501},
        {"member_ids": ("",)},
        {"member_ids": tuple(f"user-{number}" for number in range(101))},
    ],
)
def test_a_bad_group_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        rules.check_group(group(**changes))


def test_repeated_members_count_once() -> None:
    assert rules.check_member_ids(["bob", "eve", "bob"]) == ("bob", "eve")


@pytest.mark.parametrize(
    ("role", "invites", "allowed"),
    [
        (Role.ADMIN, False, True),
        (Role.ADMIN, True, True),
        (Role.MEMBER, False, False),
        (Role.MEMBER, True, True),
        (Role.NONE, True, False),
    ],
)
def test_who_may_change_members(role: Role, invites: bool, allowed: bool) -> None:  # noqa: FBT001 - a table
    if allowed:
        rules.check_may_change_members(role, invites=invites)
    else:
        with pytest.raises(PermissionDenied):
            rules.check_may_change_members(role, invites=invites)


def test_members_of_a_direct_chat_are_fixed() -> None:
    rules.check_is_group(ChatKind.GROUP)
    with pytest.raises(FailedPrecondition):
        rules.check_is_group(ChatKind.DIRECT)
