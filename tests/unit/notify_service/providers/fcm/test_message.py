import json
from dataclasses import replace

import pytest

from notify_service.domain.push import Push, PushKind
from notify_service.providers.fcm.message import MAX_MESSAGE, fcm_message

NOW = 1_700_000_000_000
TOKEN = "dMd8:APA91b"
PUSH = Push(
    PushKind.SHOW,
    chat_id="65f000000000000000000001",
    badge=7,
    title="Ann",
    body="hello",
    message_id="65f000000000000000000002",
    sender_id="ann",
    count=2,
    at_ms=NOW,
)


def encoded(push: Push, token: str = TOKEN, keep_seconds: float = 3600) -> bytes:
    return fcm_message(push, token, now_ms=NOW, keep_seconds=keep_seconds)


def test_apple_devices_behind_firebase_get_what_others_get_from_apns() -> None:
    apns = json.loads(encoded(PUSH))["message"]["apns"]

    assert apns["headers"] == {
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(NOW // 1000 + 3600),
        "apns-collapse-id": PUSH.chat_id,
    }
    assert apns["payload"]["aps"] == {
        "badge": 7,
        "thread-id": PUSH.chat_id,
        "sound": "default",
        "mutable-content": 1,
    }


def test_firebase_keeps_nothing_longer_than_it_can() -> None:
    assert json.loads(encoded(PUSH, keep_seconds=1e9))["message"]["android"]["ttl"] == "2419200s"


@pytest.mark.parametrize("character", ["a", "ß", "日", "🚀", '"', "\\"])
@pytest.mark.parametrize("token", [TOKEN, "x" * 4096], ids=["short token", "long token"])
def test_a_long_text_is_cut_whatever_the_token(character: str, token: str) -> None:
    push = replace(PUSH, title="T" * 50, body=character * 5000)
    message = json.loads(encoded(push, token))["message"]

    del message["token"]
    size = len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())
    assert MAX_MESSAGE - 30 < size <= MAX_MESSAGE
    assert message["notification"]["title"] == "T" * 50
    assert message["notification"]["body"].endswith(f"{character}…")
