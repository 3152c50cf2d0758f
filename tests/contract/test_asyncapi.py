"""The AsyncAPI document is one, and says of frames what the edge says and takes."""

import gzip
import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from jsonschema import Draft7Validator

from edge.protocol.asyncapi import document
from edge.protocol.events import chat_created_frame, frame_for, resync_frame, typing_frame
from parley.common.v1.chat_pb2 import Chat, ChatType
from parley.common.v1.message_pb2 import Message
from parley.edge.v1 import frames
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.user_event_pb2 import ChatAdded, UserEvent

SCHEMA: Final = Path(__file__).parent / "asyncapi" / "3.0.0.json.gz"
DOCUMENT: Final = document()
CHAT: Final = "c" * 24


def payload_of(message: str) -> Draft7Validator:
    payload = DOCUMENT["components"]["messages"][message]["payload"]
    return Draft7Validator({**payload, "components": DOCUMENT["components"]})


def created(kind: ChatType.ValueType) -> frames.ServerFrame:
    added = ChatAdded(chat=Chat(id=CHAT, type=kind), actor_id="ada")
    return chat_created_frame(UserEvent(chat_added=added))


def test_it_keeps_the_schema_of_asyncapi() -> None:
    validator = Draft7Validator(json.loads(gzip.decompress(SCHEMA.read_bytes())))
    assert [error.message for error in validator.iter_errors(DOCUMENT)] == []


def test_it_names_every_command_with_its_answers_and_every_event() -> None:
    operations = DOCUMENT["operations"].values()
    asked = {
        each["messages"][0]["$ref"].rpartition("/")[2]: each
        for each in operations
        if each["action"] == "receive"
    }
    assert asked.keys() == frames.COMMANDS.keys()
    for event, operation in asked.items():
        answers = [each["$ref"].rpartition("/")[2] for each in operation["reply"]["messages"]]
        assert answers == [f"{event}-ack", "error"]
    told = {each["messages"][0]["$ref"].rpartition("/")[2] for each in operations if each["action"] == "send"}
    assert told == frames.EVENTS.keys()
    assert DOCUMENT["channels"]["socket"]["messages"].keys() == DOCUMENT["components"]["messages"].keys()


@pytest.mark.parametrize(
    "frame",
    [
        frame_for(ChatEvent(chat_id=CHAT, epoch=1, seq=1, number=1, message=Message(id=CHAT, content="hi"))),
        created(ChatType.CHAT_TYPE_DIRECT),
        created(ChatType.CHAT_TYPE_GROUP),
        resync_frame(CHAT),
        typing_frame(CHAT, "ada", is_typing=True),
        frames.MarkReadAck(7, frames.ReadPosition(chat_id=CHAT, seq=1, unread=0)),
        frames.ErrorFrame(None, frames.Error(code="INTERNAL", message="", retryable=False, retry_after_ms=0)),
    ],
    ids=["new-message", "direct chat", "group", "resync", "typing", "ack", "error"],
)
def test_what_the_edge_says_is_as_described(frame: frames.ServerFrame) -> None:
    shown = msgspec.to_builtins(frame)
    message = "mark-read-ack" if isinstance(frame, frames.MarkReadAck) else shown["event"]
    payload_of(message).validate(shown)
    assert not payload_of("welcome").is_valid(shown)


@pytest.mark.parametrize(
    ("data", "good"),
    [
        ({"chatId": CHAT, "content": "hi", "clientMsgId": "a"}, True),
        ({"chatId": CHAT, "content": "hi", "clientMsgId": "a", "type": "image", "mentions": ["bob"]}, True),
        ({"chatId": CHAT.upper(), "content": "hi", "clientMsgId": "a"}, False),
        ({"chatId": CHAT, "content": "hi"}, False),
        ({"chatId": CHAT, "content": "hi", "clientMsgId": "a", "type": "film"}, False),
        ({"chatId": CHAT, "content": "hi", "clientMsgId": "a", "mentions": ["bob"] * 51}, False),
    ],
)
def test_what_the_edge_takes_is_as_described(data: dict[str, Any], *, good: bool) -> None:
    frame: dict[str, Any] = {"event": "send-message", "id": 1, "data": data}
    assert payload_of("send-message").is_valid(frame) is good


def test_its_patterns_are_for_any_validator() -> None:
    text = json.dumps(DOCUMENT)
    assert "\\Z" not in text  # Python's alone
