"""What clients see of chats and messages."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edge.protocol.chats import chat_json
from edge.protocol.errors import error_json
from edge.protocol.events import frame_for
from mesh.errors import unavailable
from parley.common.v1.chat_pb2 import Chat, ChatType
from parley.common.v1.message_pb2 import Message, MessageStatus, MessageType
from parley.edge.v1 import frames
from parley.edge.v1.conversions import message_from_pb
from parley.events.v1.chat_event_pb2 import ChatEvent

_TIME = st.integers(0, 253_402_300_799_999)
_SEQ = st.integers(0, 2**53 - 1)


def test_a_live_message_takes_its_position_from_the_event() -> None:
    frame = frame_for(ChatEvent(message=Message(id="m"), seq=7, number=3, epoch=2))
    assert isinstance(frame, frames.NewMessageFrame)
    shown = frame.data
    assert (shown.seq, shown.number, shown.epoch, shown.status) == (7, 3, 2, "sent")
    assert b'"epoch":2' in msgspec.json.encode(shown)


def test_a_stored_message_has_its_own_position_and_no_epoch() -> None:
    shown = message_from_pb(Message(id="m", seq=7, number=3, status=MessageStatus.MESSAGE_STATUS_DELIVERED))
    assert (shown.seq, shown.number, shown.status) == (7, 3, "delivered")
    assert b"epoch" not in msgspec.json.encode(shown)


def test_a_type_from_the_future_is_shown_as_text() -> None:
    message = Message.FromString(Message(id="m").SerializeToString() + b"\x30\x63")  # type = 99
    assert int(message.type) == 99
    assert message_from_pb(message).type == "text"


def test_the_type_tells_the_two_kinds_of_chats_apart() -> None:
    direct = msgspec.json.encode(chat_json(Chat(id="c", type=ChatType.CHAT_TYPE_DIRECT)))
    group = msgspec.json.encode(chat_json(Chat(id="c", type=ChatType.CHAT_TYPE_GROUP)))
    assert isinstance(msgspec.json.decode(direct, type=frames.Chat), frames.DirectChat)
    assert isinstance(msgspec.json.decode(group, type=frames.Chat), frames.GroupChat)
    assert b"settings" not in direct


def test_an_error() -> None:
    assert msgspec.to_builtins(error_json(unavailable("redis", "redis is away", retry_after_ms=250))) == {
        "code": "UNAVAILABLE",
        "message": "redis is away",
        "retryable": True,
        "retryAfterMs": 250,
    }


@given(
    st.builds(
        Message,
        id=st.text(max_size=24),
        sender_id=st.text(max_size=128),
        content=st.text(max_size=200),
        client_msg_id=st.text(max_size=64),
        mentions=st.lists(st.text(max_size=128), max_size=3),
        seq=_SEQ,
        number=_SEQ,
        created_at_ms=_TIME,
        type=st.sampled_from(MessageType.values()),
        status=st.sampled_from(MessageStatus.values()),
    )
)
def test_any_message_survives_the_wire(message: Message) -> None:
    shown = message_from_pb(message)
    assert msgspec.json.decode(msgspec.json.encode(shown), type=frames.Message) == shown
    assert shown.content == message.content
    assert shown.mentions == list(message.mentions)
