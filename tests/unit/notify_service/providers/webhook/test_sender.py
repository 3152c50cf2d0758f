import json
from collections.abc import Sequence

import pytest

from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.push import Push, PushKind
from notify_service.ports import SendDelayedError, TargetGoneError
from notify_service.providers.http import Answer
from notify_service.providers.webhook.sender import WebhookSender, push_json, verdict

CHAT = "65f1a0b2c3d4e5f60718293a"
MESSAGE = "65f1a0b2c3d4e5f60718293b"


def test_the_json_of_a_notification() -> None:
    push = Push(
        kind=PushKind.SHOW, chat_id=CHAT, badge=3, title="Alice", body="hi 👋", message_id=MESSAGE,
        sender_id="alice", count=2, at_ms=1_767_323_045_678,
    )  # fmt: skip
    assert json.loads(push_json(push, "bob")) == {
        "type": "notification.show",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "data": {
            "userId": "bob",
            "chatId": CHAT,
            "badge": 3,
            "title": "Alice",
            "body": "hi 👋",
            "messageId": MESSAGE,
            "senderId": "alice",
            "count": 2,
        },
    }


def test_a_clear_says_only_which_chat() -> None:
    document = json.loads(push_json(Push(kind=PushKind.CLEAR, chat_id=CHAT, badge=0), "bob"))
    assert document["type"] == "notification.clear"
    assert document["data"] == {"userId": "bob", "chatId": CHAT, "badge": 0}
    assert document["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("status", "headers", "retry_after", "provider_down"),
    [
        (302, {}, None, True),
        (400, {}, None, False),
        (401, {}, None, True),
        (404, {}, None, True),
        (409, {}, None, False),
        (413, {}, None, False),
        (422, {}, None, False),
        (429, {"retry-after": "7"}, 7.0, True),
        (500, {}, None, True),
        (503, {"retry-after": "3"}, 3.0, True),
        (599, {}, None, True),
    ],
)
def test_whatever_can_be_repaired_is_tried_again(
    status: int, headers: dict[str, str], retry_after: float | None, *, provider_down: bool
) -> None:
    error = verdict(Answer(status, headers, b"some words"))
    assert isinstance(error, SendDelayedError)
    assert error.retry_after_seconds == retry_after
    assert error.provider_down is provider_down
    assert str(status) in str(error)


def test_gone_is_for_good() -> None:
    assert isinstance(verdict(Answer(410, {}, b"")), TargetGoneError)


def test_the_provider_is_the_host_and_not_too_long() -> None:
    async def post(url: str, body: bytes, webhook_id: str, signing_secrets: Sequence[str]) -> str:
        raise NotImplementedError

    def device(address: str) -> Device:
        return Device(
            id="d", user_id="bob", kind=DeviceKind.WEBHOOK, address=address, label="", created_at_ms=0,
            refreshed_at_ms=0,
        )  # fmt: skip

    sender = WebhookSender(post)
    assert sender.provider(device("https://Hooks.Example:443/in?token=x")) == "webhook:hooks.example"
    assert sender.provider(device("https://Hooks.Example:8443/in?token=x")) == "webhook:hooks.example:8443"
    assert len(sender.provider(device(f"https://{'x' * 60}.{'y' * 60}.example/"))) == 100
