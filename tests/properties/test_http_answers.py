"""What comes from outside, whatever it is: addresses that users give, and answers of providers."""

import math

from hypothesis import given
from hypothesis import strategies as st

from notify_service.ports import SendError, SendRefusedError
from notify_service.providers.answers import MAX_QUOTED
from notify_service.providers.http import (
    Answer,
    failure,
    parse_url,
    retry_after_seconds,
)

urls = st.one_of(
    st.text(max_size=100),
    st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["https", "http", "HTTPS", "ftp", ""]),
        st.text(max_size=60),
        st.sampled_from(["", ":443", ":0", ":65536", ":x", ":"]),
        st.text(max_size=30),
    ),
)


@given(urls)
def test_an_address_is_taken_apart_or_refused(url: str) -> None:
    try:
        parsed = parse_url(url)
    except SendRefusedError:
        return
    assert parsed.host
    assert parsed.host.isascii()
    assert parsed.host == parsed.host.lower()
    assert not set(parsed.host) & set(b"@/?# \\\r\n")
    assert not set(parsed.target) & set(b" \r\n")
    assert parsed.port is None or 0 < parsed.port < 65_536


@given(st.text(max_size=60) | st.from_regex(r"-?[0-9]{1,12}(\.[0-9]+)?", fullmatch=True))
def test_a_wait_is_a_time_or_nothing(value: str) -> None:
    seconds = retry_after_seconds({"retry-after": value})
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@given(st.integers(100, 999), st.binary(max_size=5000), st.text(max_size=20))
def test_every_answer_has_a_meaning_in_one_line(status: int, body: bytes, wait: str) -> None:
    answer = Answer(status, {"retry-after": wait}, body)
    assert len(answer.detail.splitlines()) == 1
    assert len(answer.detail) <= MAX_QUOTED + len("HTTP 999: ")
    if not answer.is_success:
        assert isinstance(failure(answer), SendError)
