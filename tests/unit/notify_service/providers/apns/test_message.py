import json
from dataclasses import replace

import pytest

from notify_service.domain.push import Push, PushKind, seconds_left
from notify_service.providers.apns.message import MAX_PAYLOAD, apns_headers, apns_message
from notify_service.providers.trimming import TooLongError

NOW = 1_700_000_000_000
PUSH = Push(
    PushKind.SHOW,
    chat_id="65f000000000000000000001",
    badge=7,
    title="Ann",
    body="hello",
    message_id="65f000000000000000000002",
    sender_id="ann",
    count=2,
    at_ms=NOW - 10_000,
)
CLEAR = Push(PushKind.CLEAR, chat_id=PUSH.chat_id, badge=3, urgent=False)


def headers(push: Push) -> dict[str, str]:
    return apns_headers(push, now_ms=NOW, keep_seconds=3600)


def test_what_the_app_reads() -> None:
    message = apns_message(PUSH, "com.example", now_ms=NOW, keep_seconds=3600)
    payload = json.loads(message.payload)
    del payload["aps"]

    assert payload == {
        "type": "show",
        "chatId": PUSH.chat_id,
        "messageId": PUSH.message_id,
        "senderId": "ann",
        "count": 2,
        "sentAt": "2023-11-14T22:13:10.000Z",
    }
    assert message.headers == {
        "apns-topic": "com.example",
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(NOW // 1000 + 3590),
        "apns-collapse-id": PUSH.chat_id,
    }


def test_a_push_that_is_not_urgent_waits_until_the_device_is_awake() -> None:
    assert headers(CLEAR)["apns-priority"] == "5"


@pytest.mark.parametrize(("age_seconds", "left"), [(0, 3600), (-5, 3600), (3599.5, 0), (3600, 0), (9999, 0)])
def test_how_long_it_is_kept(age_seconds: float, left: int) -> None:
    push = replace(PUSH, at_ms=NOW - int(age_seconds * 1000))

    assert seconds_left(push, 3600, NOW) == left
    assert headers(push)["apns-expiration"] == (str(NOW // 1000 + left) if left else "0")


def test_a_push_of_unknown_age_is_new() -> None:
    assert seconds_left(CLEAR, 3600.9, NOW) == 3600


@pytest.mark.parametrize("chat_id", ["x" * 65, "ü", "a\nb", "é" * 40])
def test_a_chat_that_fits_no_header_has_a_name_that_does(chat_id: str) -> None:
    name = headers(replace(PUSH, chat_id=chat_id))["apns-collapse-id"]

    assert name.isascii()
    assert name.isprintable()
    assert 0 < len(name) <= 64
    assert name != headers(replace(PUSH, chat_id=f"{chat_id}!"))["apns-collapse-id"]


@pytest.mark.parametrize("character", ["a", "ß", "日", "🚀", '"', "\\", "\x01"])
def test_a_long_text_is_cut_to_what_apns_takes(character: str) -> None:
    push = replace(PUSH, body=character * 5000)
    payload = apns_message(push, "com.example", now_ms=NOW, keep_seconds=3600).payload

    assert MAX_PAYLOAD - 10 < len(payload) <= MAX_PAYLOAD
    assert json.loads(payload)["aps"]["alert"]["body"].endswith(f"{character}…")
    assert json.loads(payload)["aps"]["alert"]["title"] == "Ann"


def test_what_is_too_long_without_text_is_an_error() -> None:
    with pytest.raises(TooLongError):
        apns_message(replace(PUSH, sender_id="x" * 5000), "com.example", now_ms=NOW, keep_seconds=3600)
