"""Whatever bytes a client sends: messages, commands, or the one typed error. Nothing else is raised."""

import json
import struct
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.protocol import json_codec
from edge.protocol.codec import JSON
from edge.protocol.errors import ProtocolError
from edge.protocol.events import error_frame
from edge.protocol.request import FrameError, Request
from edge.websocket.connection import framed
from edge.websocket.framing import FrameReader, Message, Opcode, frame
from mesh.errors import ResourceExhausted
from parley.common.v1.error_pb2 import ErrorReason
from parley.edge.v1.close_codes import CloseCode
from parley.edge.v1.frames import COMMANDS

_LIMIT = 4096
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
_IDS = st.text("0123456789abcdef", min_size=24, max_size=24)
_FIELDS = {
    "join-chats": st.fixed_dictionaries({"chatIds": st.lists(_IDS, min_size=1, max_size=5)}),
    "leave-chats": st.fixed_dictionaries({"chatIds": st.lists(_IDS, min_size=1, max_size=5)}),
    "send-message": st.fixed_dictionaries(
        {
            "chatId": _IDS,
            "content": st.text(),
            "clientMsgId": st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True),
            "type": st.sampled_from(["text", "image", "file"]),
            "mentions": st.lists(st.text(min_size=1, max_size=128), max_size=5, unique=True),
            "readSeq": st.none() | st.integers(0, 2**53),
        }
    ),
    "typing": st.fixed_dictionaries({"chatId": _IDS, "isTyping": st.booleans()}),
    "mark-read": st.fixed_dictionaries({"chatId": _IDS, "messageId": _IDS}),
    "mark-chat-read": st.fixed_dictionaries({"chatId": _IDS}),
}
_FRAME_IDS = st.none() | st.text(max_size=64) | st.integers(-(2**53), 2**53)
REQUESTS = st.sampled_from(sorted(_FIELDS)).flatmap(
    lambda event: st.fixed_dictionaries({"event": st.just(event), "id": _FRAME_IDS, "data": _FIELDS[event]})
)
_CUTS = st.lists(st.integers(1, 50), min_size=1, max_size=20)


def _masked(opcode: int, payload: bytes, key: bytes, *, final: bool = True) -> bytes:
    """A client's frame, written here once more and in another way than the edge reads it."""
    head = bytes([(0x80 if final else 0) | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        head += struct.pack("!BH", 0x80 | 126, len(payload))
    else:
        head += struct.pack("!BQ", 0x80 | 127, len(payload))
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def _read(data: bytes, cuts: list[int]) -> tuple[list[Message], ProtocolError | None]:
    reader = FrameReader(_LIMIT)
    messages: list[Message] = []
    at = turn = 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        turn += 1
        reader.feed(data[at : at + size])
        at += size
        try:
            while (message := reader.next()) is not None:
                messages.append(message)
        except ProtocolError as error:
            return messages, error
    return messages, None


@given(st.binary(max_size=300), _CUTS)
def test_any_bytes_give_messages_or_a_close_code(data: bytes, cuts: list[int]) -> None:
    messages, error = _read(data, cuts)
    assert all(isinstance(message.opcode, Opcode) for message in messages)
    assert error is None or error.code in {CloseCode.PROTOCOL_ERROR, CloseCode.TOO_BIG}


@given(
    st.lists(
        st.tuples(
            st.sampled_from([Opcode.TEXT, Opcode.BINARY]),
            st.lists(st.binary(max_size=400), min_size=1, max_size=4),
            st.lists(st.binary(max_size=125), max_size=2),
        ),
        max_size=5,
    ),
    st.binary(min_size=4, max_size=4),
    _CUTS,
)
def test_messages_survive_fragments_masks_and_any_cut(
    sent: list[tuple[Opcode, list[bytes], list[bytes]]], key: bytes, cuts: list[int]
) -> None:
    wire, expected = b"", []
    for opcode, parts, pings in sent:
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            wire += _masked(opcode if number == 0 else 0, part, key, final=last)
            if not last:  # control frames may stand between the fragments of a message
                wire += b"".join(_masked(Opcode.PING, ping, key) for ping in pings)
                expected += [Message(Opcode.PING, ping) for ping in pings]
        expected.append(Message(opcode, b"".join(parts)))
    assert _read(wire, cuts) == (expected, None)


@given(st.integers(_LIMIT + 1, 2**63), st.binary(min_size=4, max_size=4))
def test_a_length_beyond_the_limit_is_refused_before_its_bytes_come(size: int, key: bytes) -> None:
    header = struct.pack("!BBH", 0x81, 0x80 | 126, size) if size < 65536 else b""
    header = header or struct.pack("!BBQ", 0x81, 0x80 | 127, size)
    _, error = _read(header + key, [3])
    assert error is not None
    assert error.code is CloseCode.TOO_BIG


@given(st.text())
def test_any_text_gives_a_command_or_a_typed_error(text: str) -> None:
    _parse(text)


@given(_JSON)
def test_any_json_gives_a_command_or_a_typed_error(value: Any) -> None:
    _parse(json.dumps(value))


@given(REQUESTS, st.data())
def test_any_damage_to_a_frame_gives_a_command_or_a_typed_error(request: dict[str, Any], data: Any) -> None:
    place = data.draw(st.sampled_from(["event", "id", "data", *request["data"]]))
    target = request["data"] if place in request["data"] else request
    if data.draw(st.booleans()):
        del target[place]
    else:
        target[place] = data.draw(_JSON)
    _parse(json.dumps(request))


@given(st.integers(1, 20_000), st.sampled_from(["[", '{"a":', '{"event":"typing","data":[']))
@settings(max_examples=30)
def test_any_depth_gives_a_typed_error(depth: int, opening: str) -> None:
    assert isinstance(_parse(opening * depth), FrameError)


@given(REQUESTS)
def test_a_well_formed_frame_is_understood_as_it_was_meant(request: dict[str, Any]) -> None:
    parsed = json_codec.parse(json.dumps(request).encode())
    assert (parsed.event, parsed.id) == (request["event"], request["id"])
    assert msgspec.to_builtins(parsed.command) == request["data"]


@given(_FRAME_IDS, st.text(max_size=70_000), st.integers(0, 10**6))
def test_an_answer_is_one_frame_that_repeats_the_id(frame_id: Any, text: str, wait: int) -> None:
    error = ResourceExhausted(ErrorReason.ERROR_REASON_RATE_LIMITED, text, retry_after_ms=wait)
    sent = framed(JSON, error_frame(frame_id, error))
    size = sent[1] if sent[1] < 126 else int.from_bytes(sent[2:4])
    payload = sent[-size:]
    assert sent == frame(Opcode.TEXT, payload)
    assert json.loads(payload) == {
        "event": "error",
        "id": frame_id,
        "data": {"code": "RATE_LIMITED", "message": text[:500], "retryable": True, "retryAfterMs": wait},
    }


def _parse(text: str) -> Request | FrameError:
    result: Request | FrameError
    try:
        result = json_codec.parse(text.encode())
    except FrameError as error:
        result = error
    if isinstance(result, Request):
        assert isinstance(result.command, COMMANDS[result.event])
        return result
    assert result.error.code in {"MALFORMED_FRAME", "INVALID_ARGUMENT", "UNKNOWN_EVENT"}
    assert result.error.message
    # What is notified must be sendable, whatever the text was.
    assert json_codec.encode(error_frame(result.id, result.error))
    return result
