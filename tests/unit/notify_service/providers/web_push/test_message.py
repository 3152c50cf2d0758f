import json
from base64 import urlsafe_b64decode

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from notify_service.domain.device import WebPushKeys
from notify_service.domain.push import Push, PushKind
from notify_service.providers.web_push.message import MAX_PAYLOAD, Subscription, payload
from tests.support.providers.push_reading import decode, decrypt, encode, point

# RFC 8291, section 5 and appendix A.
PLAIN = b"When I grow up, I want to be a watermelon"
SENDER_PRIVATE = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
RECEIVER_PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
RECEIVER = WebPushKeys(
    p256dh="BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    auth="BTBZMqHH6r4Tts7J_aSIgg",
)
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK"
    "6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)

PUSH = Push(
    kind=PushKind.SHOW,
    chat_id="c" * 24,
    badge=3,
    title="Ann",
    body="hello",
    message_id="a" * 24,
    sender_id="ann",
    count=2,
    at_ms=1_700_000_000_123,
    delivery_id="d" * 24,
)


def private_key(encoded: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(decode(encoded)), ec.SECP256R1())


def test_the_rfc_s_example_is_made_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    subscription = Subscription.of(RECEIVER)
    monkeypatch.setattr(ec, "generate_private_key", lambda _curve: private_key(SENDER_PRIVATE))
    monkeypatch.setattr(http_ece.os, "urandom", lambda _count: decode(SALT))
    assert encode(subscription.encrypt(PLAIN)) == BODY


def test_the_tests_own_reader_reads_the_rfc_s_example() -> None:
    assert decrypt(decode(BODY), private_key(RECEIVER_PRIVATE), decode(RECEIVER.auth)) == PLAIN


def test_no_two_messages_share_a_key_or_a_salt() -> None:
    subscription = Subscription.of(RECEIVER)
    first, second = subscription.encrypt(PLAIN), subscription.encrypt(PLAIN)
    assert first[:16] != second[:16]
    assert first[21:86] != second[21:86]
    for body in (first, second):
        assert decrypt(body, private_key(RECEIVER_PRIVATE), decode(RECEIVER.auth)) == PLAIN


def test_the_longest_payload_makes_a_body_that_every_push_service_takes() -> None:
    assert MAX_PAYLOAD == 3993
    body = Subscription.of(RECEIVER).encrypt(b"x" * MAX_PAYLOAD)
    assert len(body) == 4096
    assert decrypt(body, private_key(RECEIVER_PRIVATE), decode(RECEIVER.auth)) == b"x" * MAX_PAYLOAD


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        ("", RECEIVER.auth),
        (RECEIVER.p256dh[:-4], RECEIVER.auth),
        (encode(b"\4" + b"\1" * 64), RECEIVER.auth),
        (encode(b"\0"), RECEIVER.auth),
        ("*" * 87, RECEIVER.auth),
        ("é" * 87, RECEIVER.auth),
        (RECEIVER.p256dh, ""),
        (RECEIVER.p256dh, encode(b"x" * 15)),
        (RECEIVER.p256dh, encode(b"x" * 17)),
        (RECEIVER.p256dh, "A"),
    ],
)
def test_wrong_keys_are_told(p256dh: str, auth: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Subscription.of(WebPushKeys(p256dh, auth))


def test_keys_on_another_curve_are_told() -> None:
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises(ValueError, match=r"."):
        Subscription.of(WebPushKeys(encode(point(other)), RECEIVER.auth))


def test_the_payload_of_a_notification() -> None:
    assert json.loads(payload(PUSH, PUSH.title, PUSH.body)) == {
        "type": "show",
        "chatId": "c" * 24,
        "badge": 3,
        "deliveryId": "d" * 24,
        "title": "Ann",
        "body": "hello",
        "messageId": "a" * 24,
        "senderId": "ann",
        "count": 2,
        "sentAt": "2023-11-14T22:13:20.123Z",
    }


def test_the_payload_of_a_clear_push() -> None:
    push = Push(kind=PushKind.CLEAR, chat_id="c" * 24, badge=0, urgent=False)
    assert json.loads(payload(push, "", "")) == {"type": "clear", "chatId": "c" * 24, "badge": 0}


def test_a_topic_tells_chats_apart_and_nothing_else() -> None:
    one = Subscription.of(RECEIVER)
    other = Subscription.of(WebPushKeys(RECEIVER.p256dh, encode(b"x" * 16)))
    assert one.topic("a" * 24) == one.topic("a" * 24) != one.topic("b" * 24)
    assert one.topic("a" * 24) != other.topic("a" * 24)
    assert len(urlsafe_b64decode(one.topic("a" * 24))) == 24
    assert len(one.topic("a" * 24)) == 32
