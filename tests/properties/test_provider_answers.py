"""Whatever a provider answers, a device is forgotten on its own words alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.text import one_line
from notify_service.domain.device import Device, DeviceKind
from notify_service.ports import SendDelayedError, TargetGoneError
from notify_service.providers.apns.errors import apns_error
from notify_service.providers.fcm.errors import fcm_error
from notify_service.providers.http import Answer

DEVICE = Device("1" * 24, "bob", DeviceKind.APNS, "ab" * 32, "phone", 1_000, 5_000)

statuses = st.integers(100, 599)
headers = st.fixed_dictionaries({}, optional={"retry-after": st.text(max_size=30)})
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "details", "errorCode", "message", "status", "reason", "timestamp"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
bodies = st.binary(max_size=200) | documents.map(lambda document: json.dumps(document).encode())


@given(statuses, headers, bodies)
def test_any_answer_has_a_meaning_and_prunes_nothing(
    status: int, fields: dict[str, str], body: bytes
) -> None:
    answer = Answer(status, fields, body)

    for error in (fcm_error(answer, DEVICE.address), apns_error(answer, DEVICE)):
        assert not isinstance(error, TargetGoneError)
        assert len(str(error)) <= 300
        assert str(error) == one_line(str(error))
        if isinstance(error, SendDelayedError) and error.retry_after_seconds is not None:
            assert error.retry_after_seconds >= 0


@pytest.mark.parametrize(
    "body",
    [
        b'{"x":' + b"[" * 4000,
        b'{"error":{"x":' + b"[" * 4000,
        b'{"error":{"message":"\xff","status":"A"}}',
        b'{"reason":"\xff"}',
        b'{"reason":"\\ud800"}',
    ],
)
def test_json_that_is_broken_has_a_meaning_too(body: bytes) -> None:
    answer = Answer(500, {}, body)

    assert isinstance(fcm_error(answer, DEVICE.address), SendDelayedError)
    assert isinstance(apns_error(answer, DEVICE), SendDelayedError)
