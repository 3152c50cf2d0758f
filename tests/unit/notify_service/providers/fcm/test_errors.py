import pytest

from notify_service.ports import (
    SendDelayedError,
    SendError,
    SendRefusedError,
    TargetGoneError,
    TargetUnknownError,
)
from notify_service.providers.fcm.errors import fcm_error, is_access_refused
from notify_service.providers.http import Answer
from tests.support.providers.fcm_server import refusal
from tests.support.providers.http2_server import Reply

TOKEN = "dMd8:APA91b-secret"
INVALID_TOKEN = "The registration token is not a valid FCM registration token"
BAD_ARGUMENT = "Request contains an invalid argument."
QUOTA_OF_DEVICE = (
    b'{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":['
    b'{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"QUOTA_EXCEEDED"},'
    b'{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":['
    b'{"subject":"device","description":"Message rate exceeded"}]}]}}'
)


def answer(reply: Reply) -> Answer:
    return Answer(reply.status, reply.headers, reply.body)


@pytest.mark.parametrize(
    ("reply", "kind", "provider_down"),
    [
        (refusal(404, "NOT_FOUND", fcm_code="UNREGISTERED"), TargetGoneError, None),
        (refusal(403, "PERMISSION_DENIED", fcm_code="SENDER_ID_MISMATCH"), TargetUnknownError, None),
        (
            refusal(400, "INVALID_ARGUMENT", INVALID_TOKEN, fcm_code="INVALID_ARGUMENT"),
            TargetGoneError,
            None,
        ),
        (refusal(400, "INVALID_ARGUMENT", BAD_ARGUMENT, field="message.token"), TargetGoneError, None),
        (refusal(400, "INVALID_ARGUMENT", BAD_ARGUMENT, field="message.data[0]"), SendRefusedError, None),
        (refusal(400, "INVALID_ARGUMENT", BAD_ARGUMENT), SendRefusedError, None),
        (refusal(413, "INVALID_ARGUMENT", "Message too big"), SendRefusedError, None),
        (refusal(401, "UNAUTHENTICATED"), SendDelayedError, True),
        (refusal(401, "UNAUTHENTICATED", fcm_code="THIRD_PARTY_AUTH_ERROR"), SendDelayedError, False),
        (refusal(403, "PERMISSION_DENIED"), SendDelayedError, True),
        (refusal(404, "NOT_FOUND", "no such project"), SendDelayedError, True),
        (refusal(429, "RESOURCE_EXHAUSTED", fcm_code="QUOTA_EXCEEDED"), SendDelayedError, True),
        (Reply(429, QUOTA_OF_DEVICE), SendDelayedError, False),
        (refusal(500, "INTERNAL", fcm_code="INTERNAL"), SendDelayedError, True),
        (refusal(503, "UNAVAILABLE", fcm_code="UNAVAILABLE"), SendDelayedError, True),
        (refusal(409, "ABORTED"), SendDelayedError, True),
        (Reply(404, b"<html>"), SendDelayedError, True),
        (Reply(400, b'{"error":{"details":[{"errorCode":7}]}}'), SendDelayedError, True),
    ],
)
def test_what_each_answer_means(*, reply: Reply, kind: type[SendError], provider_down: bool | None) -> None:
    error = fcm_error(answer(reply), TOKEN)

    assert type(error) is kind
    assert getattr(error, "provider_down", None) is provider_down


def test_what_an_error_says() -> None:
    reply = refusal(404, "NOT_FOUND", f"No\x00 such\n token {TOKEN}", fcm_code="UNREGISTERED")

    assert str(fcm_error(answer(reply), TOKEN)) == "UNREGISTERED: No such token [...]"


def test_words_are_few() -> None:
    assert len(str(fcm_error(answer(refusal(500, "INTERNAL", "x" * 3000)), TOKEN))) == 200
    assert len(str(fcm_error(Answer(500, {}, b"x" * 3000), TOKEN))) <= 210


def test_a_quota_without_a_time_waits_a_minute() -> None:
    quota, timed = (
        fcm_error(answer(refusal(429, "RESOURCE_EXHAUSTED", retry_after=after)), TOKEN) for after in ("", "7")
    )
    assert isinstance(quota, SendDelayedError)
    assert quota.retry_after_seconds == 60
    assert isinstance(timed, SendDelayedError)
    assert timed.retry_after_seconds == 7


@pytest.mark.parametrize(
    ("reply", "refused"),
    [
        (refusal(401, "UNAUTHENTICATED"), True),
        (Reply(401, b"who?"), True),
        (refusal(401, "UNAUTHENTICATED", fcm_code="THIRD_PARTY_AUTH_ERROR"), False),
        (refusal(403, "PERMISSION_DENIED"), False),
        (Reply(200, b""), False),
    ],
)
def test_when_the_access_token_is_at_fault(*, reply: Reply, refused: bool) -> None:
    assert is_access_refused(answer(reply)) is refused
