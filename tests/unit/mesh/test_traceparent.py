import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.traceparent import Parent, parse, write

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("flags", "sampled"), [("01", True), ("00", False), ("03", True), ("02", False), ("ff", True)]
)
def test_a_header_names_the_trace_and_the_span_and_whether_it_is_recorded(flags: str, sampled: bool) -> None:  # noqa: FBT001
    assert parse(f"00-{TRACE}-{SPAN}-{flags}") == Parent(int(TRACE, 16), int(SPAN, 16), sampled)


def test_a_later_version_may_have_more_behind_it() -> None:
    assert parse(f"cc-{TRACE}-{SPAN}-01-what-the-future-will-bring") == Parent(
        int(TRACE, 16), int(SPAN, 16), sampled=True
    )
    assert parse(f"cc-{TRACE}-{SPAN}-01") is not None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01 ",
        f"00-{TRACE}-{SPAN}-01\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.future",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 300}",
    ],
)
def test_what_is_no_traceparent_is_none(header: str) -> None:
    assert parse(header) is None


@given(st.text())
def test_no_text_is_too_strange(header: str) -> None:
    parse(header)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1))
def test_what_is_written_is_read(trace_id: int, span_id: int) -> None:
    assert parse(write(trace_id, span_id)) == Parent(trace_id, span_id, sampled=True)
