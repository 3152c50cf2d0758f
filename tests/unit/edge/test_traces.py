from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider

from edge.protocol import json_codec
from edge.protocol.request import FrameError
from edge.traces import ClientTraces
from mesh import tracing

FORCED = "00-11111111111111111111111111111111-aaaaaaaaaaaaaaaa-01"


@pytest.fixture
def _tracing_nothing_by_chance() -> Iterator[None]:
    tracing.turn_on(TracerProvider(shutdown_on_exit=False).get_tracer("test"), 0.0)
    yield
    tracing.turn_off()


@pytest.mark.usefixtures("_tracing_nothing_by_chance")
def test_clients_have_no_more_recorded_than_they_may() -> None:
    now = 100.0
    traces = ClientTraces(5, clock=lambda: now)
    assert sum(traces.begin("frame", FORCED) is not None for _ in range(100)) == 5
    now += 1
    assert sum(traces.begin("frame", FORCED) is not None for _ in range(100)) == 5


@pytest.mark.usefixtures("_tracing_nothing_by_chance")
def test_clients_may_be_given_nothing() -> None:
    traces = ClientTraces(0)
    assert traces.begin("frame", FORCED) is None
    assert traces.begin("frame", "") is None


def test_while_traces_are_off_nothing_is_counted() -> None:
    traces = ClientTraces(1, clock=lambda: 0.0)
    assert [traces.begin("frame", FORCED) for _ in range(3)] == [None] * 3
    tracing.turn_on(TracerProvider(shutdown_on_exit=False).get_tracer("test"), 0.0)
    try:
        assert traces.begin("frame", FORCED) is not None
    finally:
        tracing.turn_off()


def test_a_frame_may_name_its_trace() -> None:
    frame = '{"event":"mark-chat-read","traceparent":%s,"data":{"chatId":"%s"}}'
    assert json_codec.parse((frame % (f'"{FORCED}"', "a" * 24)).encode()).traceparent == FORCED
    assert json_codec.parse((frame % ('"whatever"', "a" * 24)).encode()).traceparent == "whatever"
    with pytest.raises(FrameError, match="traceparent"):
        json_codec.parse((frame % ("5", "a" * 24)).encode())
