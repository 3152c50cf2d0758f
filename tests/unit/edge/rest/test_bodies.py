"""Hostile JSON in a request's body ends as a refusal, whatever the body is for."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from contract.user_ids import USER_ID_RULE
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

OBJECT_ID = "24 lower-case hexadecimal digits"


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
        (bodies.CreateGroupBody, rb'{"name":"cut \ud83d"}', "name: holds"),
        (bodies.CreateGroupBody, rb'{"name":"n","memberIds":["bob","\ude00"]}', "memberIds[1]: holds"),
        (webhook_bodies.NewSubscriptionBody, rb'{"url":"https://\ud83d\ud83d"}', "url: holds"),
        (notification_bodies.MuteBody, rb'{"until":"\ud83d"}', "until: holds"),
        (notification_bodies.RegisterDeviceBody, rb'{"keys":{"auth":"\ud83d"}}', "keys.auth: holds"),
        (notification_bodies.RegisterDeviceBody, rb'{"\ud83d":1}', "the body: a field's name holds"),
    ],
)
def test_half_of_a_character_is_told_by_its_field(kind: type[Request], body: bytes, place: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_body(body, kind)
    assert refusal.value.code == "INVALID_ARGUMENT"
    assert refusal.value.message == f"{place} half of a character (a lone UTF-16 surrogate)"


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        (bodies.CreateGroupBody, b"[]", "the body must be a JSON object"),
        (bodies.CreateGroupBody, b"{}", "name is missing"),
        (bodies.CreateGroupBody, b'{"name":7}', "name must be a text of 1 to 100 characters"),
        (bodies.CreateGroupBody, b'{"name":""}', "name must be a text of 1 to 100 characters"),
        (bodies.CreateGroupBody, b'{"name":1e999}', "name must be a text of 1 to 100 characters"),
        (
            bodies.CreateGroupBody,
            b'{"name":"n","avatar":null}',
            "avatar must be a text of at most 500 characters",
        ),
        (bodies.CreateGroupBody, b'{"name":"n","memberIds":{}}', "memberIds must be a list of at most 100"),
        (
            bodies.CreateGroupBody,
            b'{"name":"n","memberIds":["a","\\n"]}',
            f"memberIds[1] {USER_ID_RULE}",
        ),
        (
            bodies.CreateGroupBody,
            b'{"name":"n","settings":{"isPublic":1}}',
            "settings.isPublic must be true or false",
        ),
        (
            bodies.CreateGroupBody,
            b'{"name":"n","settings":{"public":true}}',
            "`public` is not a field of settings",
        ),
        (bodies.CreateGroupBody, b'{"name":"n","nam":1}', "`nam` is not a field of the body"),
        (
            bodies.CreateGroupBody,
            b'{"name":"n","%s":1}' % (b"x" * 999),
            f"`{'x' * 64}` is not a field of the body",
        ),
        (bodies.AddMembersBody, b'{"userIds":[]}', "userIds must be a list of 1 to 100"),
        (bodies.CreateChatBody, b'{"userId":""}', "userId must be a text of 1 to 128 characters"),
        (bodies.CreateChatBody, b'{"userId":" "}', f"userId {USER_ID_RULE}"),
        (
            webhook_bodies.NewSubscriptionBody,
            b'{"url":"u","chatIds":["x"]}',
            f"chatIds[0] must be {OBJECT_ID}",
        ),
        (
            notification_bodies.PreferencesJson,
            b'{"quietHours":1}',
            "quietHours must be a JSON object or null",
        ),
        (
            notification_bodies.PreferencesJson,
            b'{"quietHours":{"start":"9"}}',
            "quietHours.start must be a time of the day, such as 22:00",
        ),
        (
            notification_bodies.PreferencesJson,
            b'{"quietHours":{"start":"09:00"}}',
            "quietHours.end is missing",
        ),
        (
            notification_bodies.PreferencesJson,
            b'{"mutedChats":[{"chatId":1}]}',
            f"mutedChats[0].chatId must be {OBJECT_ID}",
        ),
        (
            notification_bodies.PreferencesJson,
            b'{"mutedChats":[{"chatId":"%s\\n"}]}' % (b"c" * 24),
            f"mutedChats[0].chatId must be {OBJECT_ID}",
        ),
        (
            notification_bodies.PreferencesJson,
            b'{"quietHours":{"start":"09:00\\n"}}',
            "quietHours.start must be a time of the day, such as 22:00",
        ),
        (
            notification_bodies.RegisterDeviceBody,
            b'{"kind":"x","address":"a"}',
            "kind must be one of web-push, fcm, apns, log",
        ),
    ],
)
def test_what_does_not_fit_is_told_by_its_field_in_plain_words(
    kind: type[Request], body: bytes, words: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_body(body, kind)
    assert refusal.value.message == words


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_there_are_words_for_every_field(kind: type[Request]) -> None:
    for field in msgspec.structs.fields(kind):
        with pytest.raises(InvalidArgument) as refusal:
            parse_body(b'{"%s":1.5}' % field.encode_name.encode(), kind)
        assert refusal.value.message.startswith(f"{field.encode_name} must be ")
        assert "`" not in refusal.value.message
