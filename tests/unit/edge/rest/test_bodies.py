"""Hostile JSON in a request's body ends as a refusal, whatever the body is for."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from edge.rest import bodies, notification_bodies, webhook_bodies
from edge.rest.bodies import Request, parse_body
from mesh.errors import InvalidArgument

KINDS = sorted(
    {
        kind
        for module in (bodies, notification_bodies, webhook_bodies)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Request) and kind is not Request
    },
    key=lambda kind: kind.__name__,
)


class Anything(Request, frozen=True):
    """A field that may hold anything, which none of today's bodies has."""

    x: Any


def hostile(field: str) -> list[bytes]:
    start = b'{"%s":' % field.encode()
    return [
        b"[" * 100_000,
        b'{"a":' * 20_000,
        start + b"[" * 100_000,
        start + b"[" * 100_000 + b"]" * 100_000 + b"}",
        start + b'{"a":' * 20_000,
        start + b'"\\ud800"}',
        start + b'"\xff"}',
        b'{"\\ud800":1}',
        b'{"\xff":1}',
        b"\xff",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"",
        b"\x00" * 100,
    ]


@pytest.mark.parametrize("kind", [*KINDS, Anything], ids=lambda kind: kind.__name__)
def test_hostile_json_is_refused(kind: type[Request]) -> None:
    for field in msgspec.structs.fields(kind):
        for body in hostile(field.encode_name):
            with pytest.raises(InvalidArgument) as refusal:
                parse_body(body, kind)
            assert refusal.value.code in {"MALFORMED_FRAME", "INVALID_ARGUMENT"}
            assert len(refusal.value.message) < 200


@pytest.mark.parametrize(
    ("kind", "body", "place"),
    [
        (bodies.CreateGroupBody, rb'{"name":"cut \ud83d"}', "`$.name`"),
        (bodies.CreateGroupBody, rb'{"name":"n","memberIds":["bob","\ude00"]}', "`$.memberIds[1]`"),
        (webhook_bodies.NewSubscriptionBody, rb'{"url":"https://\ud83d\ud83d"}', "`$.url`"),
        (notification_bodies.MuteBody, rb'{"until":"\ud83d"}', "`$.until`"),
        (notification_bodies.RegisterDeviceBody, rb'{"keys":{"auth":"\ud83d"}}', "`$.keys.auth`"),
        (notification_bodies.RegisterDeviceBody, rb'{"\ud83d":1}', "A field's name"),
    ],
)
def test_half_of_a_character_is_told_by_its_field(kind: type[Request], body: bytes, place: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_body(body, kind)
    assert refusal.value.code == "INVALID_ARGUMENT"
    assert "half of a character" in refusal.value.message
    assert place in refusal.value.message
