import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from mesh.clock import now_ms
from notify_service.domain.signature import BadSecretError, check_secret, new_secret, sign


def test_the_vector_of_the_reference_library() -> None:
    # From the README of the reference libraries.
    headers = sign(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_signs_as_the_reference_library_does() -> None:
    secret, body = new_secret(), '{"text":"grüße €"}'
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    expected = Webhook(secret).sign("an-id", at, body)
    headers = sign([secret], "an-id", int(at.timestamp()), body.encode())
    assert headers["webhook-signature"] == expected


def test_two_secrets_give_two_signatures_and_either_verifies() -> None:
    old, new = new_secret(), new_secret()
    headers = sign([new, old], "an-id", now_ms() // 1000, b"{}")
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(b"{}", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(b"{}", headers)


def test_a_changed_body_does_not_verify() -> None:
    secret = new_secret()
    headers = sign([secret], "an-id", now_ms() // 1000, b'{"amount":1}')
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(b'{"amount":2}', headers)


def test_new_secrets_are_good_and_differ() -> None:
    made = {new_secret() for _ in range(20)}
    assert len(made) == 20
    for secret in made:
        check_secret(secret)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "begin"),
        (base64.b64encode(b"x" * 32).decode(), "begin"),
        ("whsec_", "24 to 64"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "24 to 64"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "24 to 64"),
        ("whsec_not base64 at all!", "base64"),
        ("whsec_ÄÖÜ", "base64"),
        ("whsec_" + base64.b64encode(b"x" * 25).decode().rstrip("="), "base64"),
    ],
)
def test_a_bad_secret_is_told_and_not_quoted(secret: str, why: str) -> None:
    with pytest.raises(BadSecretError, match=why) as caught:
        check_secret(secret)
    assert len(secret) <= 6 or secret.removeprefix("whsec_") not in str(caught.value)


@pytest.mark.parametrize("length", [24, 64])
def test_the_limits_of_a_secret(length: int) -> None:
    check_secret("whsec_" + base64.b64encode(b"\xff" * length).decode())


def documented() -> dict[str, Any]:
    """The receiver that docs/notifications.md shows."""
    page = Path(__file__).parents[4] / "docs" / "notifications.md"
    (code,) = (
        block.partition("```")[0]
        for block in page.read_text(encoding="utf-8").split("```python\n")[1:]
        if "def verify(" in block
    )
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(code, str(page), "exec"), names)  # noqa: S102 - our own page
    return names


def test_the_documented_receiver_believes_what_is_signed_and_nothing_else() -> None:
    verify, body, now = documented()["verify"], '{"text":"grüße"}'.encode(), now_ms() // 1000
    old, new = new_secret(), new_secret()
    headers = sign([new, old], "an-id", now, body)
    assert verify(new, headers, body)
    assert verify(old, headers, body)
    assert not verify(new_secret(), headers, body)
    assert not verify(new, headers, body + b" ")
    assert not verify(new, headers | {"webhook-id": "another"}, body)
    assert not verify(new, headers | {"webhook-timestamp": str(now + 1)}, body)
    assert not verify(new, headers | {"webhook-signature": "v1,ü"}, body)
    assert not verify(new, {}, body)
    assert not verify(new, sign([new], "an-id", now - 301, body), body)
