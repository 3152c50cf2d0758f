import json
from dataclasses import replace

import pytest

from notify_service.webhooks.event import HookEvent, to_json, without_content
from notify_service.webhooks.proto_codec import BadEventError, read_event
from parley.common.v1.chat_pb2 import Member, Role
from parley.common.v1.message_pb2 import Message, MessageType
from parley.events.v1.chat_event_pb2 import ChatEvent, MemberRemoved, MembersAdded, Typing

CHAT = "65f1a0b2c3d4e5f60718293a"
MESSAGE = "65f1a0b2c3d4e5f60718293b"
AT = 1_767_323_045_678


def message_event(**fields: object) -> ChatEvent:
    message = Message(
        id=MESSAGE,
        chat_id=CHAT,
        sender_id="alice",
        type=MessageType.MESSAGE_TYPE_TEXT,
        content="Grüße 👋",
        client_msg_id="c-1",
        created_at_ms=AT,
        mentions=["bob"],
    )
    event = ChatEvent(chat_id=CHAT, occurred_at_ms=AT, epoch=1, seq=7, number=5, message=message)
    for name, value in fields.items():
        target, _, field = name.rpartition("__")
        setattr(event.message if target else event, field, value)
    return event


def test_the_json_of_a_message() -> None:
    event = read_event(message_event())
    assert event is not None
    assert json.loads(to_json(event)) == {
        "type": "message.created",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "data": {
            "chatId": CHAT,
            "seq": 7,
            "number": 5,
            "epoch": 1,
            "id": MESSAGE,
            "senderId": "alice",
            "type": "text",
            "content": "Grüße 👋",
            "clientMsgId": "c-1",
            "mentions": ["bob"],
            "createdAt": "2026-01-02T03:04:05.678Z",
        },
    }


def test_content_can_be_left_out() -> None:
    event = read_event(message_event())
    assert event is not None
    reduced = to_json(replace(event, entry=without_content(event.entry)))
    assert "content" not in json.loads(reduced)["data"]
    assert b"Gr" not in reduced
    assert event.entry == message_event(), "others get the content"


def test_the_json_of_members_who_came_and_went() -> None:
    added = read_event(
        ChatEvent(
            chat_id=CHAT,
            occurred_at_ms=AT,
            epoch=1,
            seq=2,
            members_added=MembersAdded(
                actor_id="alice",
                members=[Member(user_id="bob", role=Role.ROLE_MEMBER, joined_at_ms=AT)],
            ),
        )
    )
    removed = read_event(
        ChatEvent(
            chat_id=CHAT,
            occurred_at_ms=AT,
            epoch=1,
            seq=3,
            member_removed=MemberRemoved(actor_id="bob", user_id="bob"),
        )
    )
    assert added is not None
    assert removed is not None
    assert json.loads(to_json(added))["data"]["members"] == [
        {"userId": "bob", "role": "member", "joinedAt": "2026-01-02T03:04:05.678Z"}
    ]
    document = json.loads(to_json(removed))
    assert document["type"] == "chat.member_removed"
    assert document["data"]["promotedId"] is None


def test_a_void_position_and_a_kind_that_is_not_for_integrators_tell_nothing() -> None:
    assert read_event(ChatEvent(chat_id=CHAT, occurred_at_ms=AT, seq=7)) is None
    assert read_event(ChatEvent(chat_id=CHAT, seq=1, typing=Typing(user_id="a"))) is None


@pytest.mark.parametrize(
    ("words", "event"),
    {
        "chat_id": message_event(chat_id="no"),
        "seq": message_event(seq=0),
        "occurred_at_ms: is": message_event(occurred_at_ms=-1),
        "occurred_at_ms": message_event(occurred_at_ms=2**62),
        "message.id": message_event(message__id="x"),
        "message.type": message_event(message__type=0),
        "message.created_at_ms": message_event(message__created_at_ms=2**62),
        "the sender or actor": message_event(message__sender_id=""),
        "must have 1 to 128": message_event(message__sender_id="x" * 129),
        "role": ChatEvent(chat_id=CHAT, seq=1, members_added=MembersAdded(actor_id="a", members=[Member()])),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_log_has_is_refused_without_quoting_content(words: str, event: ChatEvent) -> None:
    with pytest.raises(BadEventError, match=words) as caught:
        read_event(event)
    assert "Gr" not in str(caught.value)


def test_who_caused_it() -> None:
    event = read_event(message_event())
    assert isinstance(event, HookEvent)
    assert event.actor_id == "alice"
