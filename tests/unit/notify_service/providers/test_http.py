from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from notify_service.ports import SendDelayedError, SendError, SendRefusedError, TargetGoneError
from notify_service.providers.http import (
    Answer,
    authority_of,
    failure,
    parse_url,
    retry_after_seconds,
)


def answer(status: int, body: bytes = b"", **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("999999999", 999999999.0),
        ("9" * 5000, None),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("²", None),
        ("soon", None),
        ("", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("Friday, 31-Dec-99 23:59:59 GMT", 0.0),
        ("Fri, 99 Dec 1999 23:59:59 GMT", None),
        ("Fri, 31 Dec 99999999 23:59:59 GMT", None),
    ],
)
def test_how_long_retry_after_asks_to_wait(value: str, seconds: float | None) -> None:
    assert retry_after_seconds({"retry-after": value}) == seconds


def test_retry_after_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    seconds = retry_after_seconds({"retry-after": date})
    assert seconds is not None
    assert 80 < seconds <= 90


def test_without_the_header_nothing_is_asked() -> None:
    assert retry_after_seconds({}) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (304, SendRefusedError),
        (307, SendRefusedError),
        (400, SendRefusedError),
        (401, SendRefusedError),
        (403, SendRefusedError),
        (404, TargetGoneError),
        (408, SendDelayedError),
        (410, TargetGoneError),
        (413, SendRefusedError),
        (425, SendDelayedError),
        (429, SendDelayedError),
        (500, SendDelayedError),
        (503, SendDelayedError),
        (599, SendDelayedError),
    ],
)
def test_what_a_status_means(status: int, kind: type[SendError]) -> None:
    assert type(failure(answer(status))) is kind


def test_a_sender_says_which_statuses_mean_gone() -> None:
    assert isinstance(failure(answer(404), gone=(410,)), SendRefusedError)


def test_a_busy_provider_is_not_down_and_a_broken_one_is() -> None:
    busy, broken = failure(answer(429, retry_after="7")), failure(answer(503, retry_after="8"))
    assert isinstance(busy, SendDelayedError)
    assert isinstance(broken, SendDelayedError)
    assert (busy.retry_after_seconds, busy.provider_down) == (7.0, False)
    assert (broken.retry_after_seconds, broken.provider_down) == (8.0, True)


def test_words_are_one_short_line_without_control_characters() -> None:
    words = answer(400, b"a\r\n\x1b[31mb\x00\xff " + b"x" * 500).detail
    assert words.startswith("HTTP 400: a [31mb \ufffd xxx")
    assert words.isprintable()
    assert len(words) <= 210
    assert answer(400).detail == "HTTP 400"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "push.example",
        "https://",
        "https:///path",
        "https://[::1",
        "https://a:99999999/",
        "https://a\nb/",
        "https://u@a/",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(SendRefusedError):
        parse_url(url)


def test_a_url_is_taken_apart() -> None:
    url = parse_url("HTTPS://Püsh.Example:443/a%20b?c=d#e")
    assert (url.scheme, url.host, url.port, url.target) == (
        b"https",
        b"xn--psh-hoa.example",
        None,
        b"/a%20b?c=d",
    )


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://Push.Example/x", "push.example"),
        ("https://push.example:443/", "push.example"),
        ("https://push.example:8443/", "push.example:8443"),
        ("http://[::1]:80/", "[::1]"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ],
)
def test_the_authority_of_a_url(url: str, authority: str) -> None:
    assert authority_of(parse_url(url)) == authority
