from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mesh.clock import from_rfc3339, now_ms, to_rfc3339


def test_it_is_written_in_utc_with_three_decimals() -> None:
    assert to_rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert to_rfc3339(1_767_225_600_007) == "2026-01-01T00:00:00.007Z"


@given(st.integers(0, 253_402_300_799_999))
def test_what_is_written_reads_back_as_the_same_millisecond(epoch_ms: int) -> None:
    assert from_rfc3339(to_rfc3339(epoch_ms)) == epoch_ms
    read = datetime.fromisoformat(to_rfc3339(epoch_ms))
    assert round(read.timestamp() * 1000) == epoch_ms


def test_now_is_now() -> None:
    assert abs(now_ms() - datetime.now(UTC).timestamp() * 1000) < 5000
