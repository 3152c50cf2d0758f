"""Both forms of the client protocol say the same; whatever bytes a client sends are understood or refused."""

import json
from typing import Any, Final, TypeAlias

from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from edge.protocol.codec import BINARY, JSON
from edge.protocol.events import error_frame
from edge.protocol.request import FrameError, Request
from mesh.clock import to_rfc3339
from parley.common.v1.error_pb2 import ErrorReason
from parley.edge.v1 import frames
from parley.edge.v1.command_pb2 import ClientFrame
from tests.properties.test_edge_frames import REQUESTS
from tests.support.declared_json import client_frame, server_frame

Strategy: TypeAlias = st.SearchStrategy[Any]

_TIMES = st.integers(0, 253_402_300_799_999).map(to_rfc3339)
_CODES = st.sampled_from([name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]])


_SCALARS: Final[dict[type[inspect.Type], Strategy]] = {
    inspect.StrType: st.text(max_size=8),
    inspect.IntType: st.integers(0, 2**31),
    inspect.BoolType: st.booleans(),
    inspect.NoneType: st.none(),
}


def _of_type(kind: inspect.Type) -> Strategy:
    """Values of a type of the frames."""
    if isinstance(kind, inspect.Metadata):
        return _TIMES if (kind.extra_json_schema or {}).get("format") == "date-time" else _of_type(kind.type)
    if isinstance(kind, inspect.LiteralType):
        return st.sampled_from(kind.values)
    if isinstance(kind, inspect.ListType):
        return st.lists(_of_type(kind.item_type), max_size=3)
    if isinstance(kind, inspect.UnionType):
        return st.one_of([_of_type(each) for each in kind.types])
    return _struct(kind) if isinstance(kind, inspect.StructType) else _SCALARS[type(kind)]


def _struct(kind: inspect.StructType) -> Strategy:
    values = {field.name: _of_type(field.type) for field in kind.fields}
    if kind.cls is frames.Error:
        values["code"] = _CODES
    may_lack = {name: values.pop(name) for name in {"epoch"} & values.keys() if kind.cls is frames.Message}
    return st.fixed_dictionaries(values, optional=may_lack).map(lambda chosen: kind.cls(**chosen))


_KINDS: Final[list[Any]] = [*frames.EVENTS.values(), *frames.ACKS.values(), frames.ErrorFrame]
_FRAMES: Final = st.one_of([_of_type(inspect.type_info(kind)) for kind in _KINDS])


@given(_FRAMES)
def test_a_frame_says_the_same_in_both_forms(frame: frames.ServerFrame) -> None:
    assert server_frame(BINARY.encode(frame)) == json.loads(JSON.encode(frame))


@given(REQUESTS)
def test_a_command_is_understood_alike_in_both_forms(request: dict[str, Any]) -> None:
    assert BINARY.parse(client_frame(request)) == JSON.parse(json.dumps(request).encode())


@given(st.binary(max_size=200))
def test_any_bytes_give_a_command_or_a_typed_error(payload: bytes) -> None:
    _parse(payload)


@given(REQUESTS, st.data())
def test_any_damage_to_a_message_gives_a_command_or_a_typed_error(request: dict[str, Any], data: Any) -> None:
    message = bytearray(client_frame(request))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1)) if message else 0
        match data.draw(st.sampled_from(["set", "cut", "insert"])):
            case "set" if message:
                message[at] = data.draw(st.integers(0, 255))
            case "cut":
                del message[at:]
            case _:
                message[at:at] = data.draw(st.binary(max_size=8))
    _parse(bytes(message))


@given(REQUESTS, st.data())
def test_a_limit_holds_alike_in_both_forms(request: dict[str, Any], data: Any) -> None:
    texts = [name for name, value in request["data"].items() if isinstance(value, str) and name != "type"]
    lists = [name for name, value in request["data"].items() if isinstance(value, list)]
    name = data.draw(st.sampled_from(texts + lists))
    if name in texts:
        request["data"][name] = data.draw(st.text(max_size=70))
    else:
        request["data"][name] *= data.draw(st.integers(0, 1100))
    of_text, of_binary = (
        _told(JSON.parse, json.dumps(request).encode()),
        _told(BINARY.parse, client_frame(request)),
    )
    assert of_binary == of_text


def test_too_many_of_the_smallest_things_are_refused_before_they_are_all_read() -> None:
    many = ClientFrame()
    for _ in range(60_000):
        many.resume.chats.add()
    result = _parse(many.SerializeToString())
    assert isinstance(result, FrameError)


def _told(parse: Any, payload: bytes) -> Any:
    try:
        return parse(payload)
    except FrameError as error:
        return error.id, error.error.code, error.error.message


def _parse(payload: bytes) -> Request | FrameError:
    result: Request | FrameError
    try:
        result = BINARY.parse(payload)
    except FrameError as error:
        result = error
    if isinstance(result, Request):
        assert isinstance(result.command, frames.COMMANDS[result.event])
        return result
    assert result.error.code in {"MALFORMED_FRAME", "INVALID_ARGUMENT", "UNKNOWN_EVENT"}
    assert result.error.message
    # What is told must be sendable, whatever the bytes were.
    assert BINARY.encode(error_frame(result.id, result.error))
    return result
