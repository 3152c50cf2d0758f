import asyncio
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh import tracing
from mesh.errors import Unavailable, unavailable
from mesh.logs import configure_logs, get_logger

ONE = "00-11111111111111111111111111111111-aaaaaaaaaaaaaaaa-01"
TWO = "00-22222222222222222222222222222222-bbbbbbbbbbbbbbbb-01"
UNSAMPLED = "00-33333333333333333333333333333333-cccccccccccccccc-00"


def trace_of(traceparent: str) -> str:
    return traceparent.split("-")[1]


def span_of(traceparent: str) -> str:
    return traceparent.split("-")[2]


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def links_of(span: ReadableSpan) -> set[str]:
    return {f"{link.context.trace_id:032x}" for link in span.links}


def test_while_it_is_off_there_is_nothing() -> None:
    assert not tracing.on()
    assert tracing.begin("frame", parent=ONE) is None
    assert tracing.follow("message", ONE) is None
    assert tracing.together("batch", [ONE]) is None
    with tracing.child("step") as step, tracing.within(None) as span, tracing.ending([]):
        assert (step, span, tracing.current()) == (None, None, None)


def test_steps_are_below_the_current_span(exporter: InMemorySpanExporter) -> None:
    with tracing.within(tracing.begin("frame", parent=ONE)) as frame, tracing.child("step"):
        assert frame is not None
    assert tracing.current() is None
    step, top = exporter.get_finished_spans()
    assert (step.name, parent_of(step)) == ("step", span_of(frame.traceparent))
    assert (top.name, parent_of(top)) == ("frame", span_of(ONE))
    assert trace_of(frame.traceparent) == trace_of(ONE)


def test_whoever_began_the_trace_decides_whether_it_is_recorded(exporter: InMemorySpanExporter) -> None:
    assert tracing.begin("frame", parent=UNSAMPLED) is None
    assert tracing.follow("message", UNSAMPLED) is None
    assert tracing.together("batch", [UNSAMPLED, ""]) is None
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_of_new_traces_a_share_is_recorded(exporter: InMemorySpanExporter, share: float) -> None:
    assert tracing._tracer is not None
    tracing.turn_on(tracing._tracer, share)
    for parent in ("", "rubbish"):
        exporter.clear()
        for _ in range(2000):
            with tracing.within(tracing.begin("frame", parent=parent)):
                pass
        # Six standard deviations: 1 of a thousand million runs is farther off.
        assert len(exporter.get_finished_spans()) == pytest.approx(
            2000 * share, abs=6 * (2000 * share * (1 - share)) ** 0.5
        )
    with tracing.within(tracing.begin("frame", parent=ONE)) as span:
        assert span is not None


def test_a_batch_of_one_trace_is_a_part_of_it(exporter: InMemorySpanExporter) -> None:
    with tracing.within(tracing.together("batch", [ONE, "", UNSAMPLED, ONE])):
        pass
    (batch,) = exporter.get_finished_spans()
    assert (parent_of(batch), links_of(batch)) == (span_of(ONE), set())


def test_where_several_traces_meet_there_are_links_both_ways(exporter: InMemorySpanExporter) -> None:
    messages = [span for parent in (ONE, TWO) if (span := tracing.follow("message", parent))]
    with tracing.within(tracing.together("batch", [span.traceparent for span in messages])) as batch:
        assert batch is not None
        for message in messages:
            message.link(batch)
        with tracing.within(tracing.follow("store", ONE)):
            pass
    with tracing.ending(messages):
        pass
    spans = {
        (span.name, f"{span.context.trace_id:032x}"): span
        for span in exporter.get_finished_spans()
        if span.context
    }
    joint = spans["batch", trace_of(batch.traceparent)]
    assert joint.parent is None
    assert links_of(joint) == {trace_of(ONE), trace_of(TWO)}
    for parent in (ONE, TWO):
        assert links_of(spans["message", trace_of(parent)]) == {trace_of(batch.traceparent)}
    assert links_of(spans["store", trace_of(ONE)]) == {trace_of(batch.traceparent)}


def test_links_have_an_end(exporter: InMemorySpanExporter) -> None:
    parents = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 500)]
    with tracing.within(tracing.together("batch", parents)), tracing.child("write", links=parents):
        pass
    assert [len(span.links) for span in exporter.get_finished_spans()] == [tracing.MAX_LINKS] * 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (unavailable("redis", "redis said: the user's words"), "UNAVAILABLE"),
        (ValueError("the user's words"), "ValueError"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
def test_a_failure_is_told_without_its_text(
    exporter: InMemorySpanExporter, error: BaseException, told: str
) -> None:
    with pytest.raises(type(error)), tracing.within(tracing.begin("frame")), tracing.child("step"):
        raise error
    messages = [span for span in (tracing.follow("message", ONE),) if span]
    with pytest.raises(type(error)), tracing.ending(messages):
        raise error
    spans = exporter.get_finished_spans()
    assert [span.status.description for span in spans] == [told] * 3
    assert "words" not in "".join(span.to_json() for span in spans)
    assert isinstance(unavailable("redis"), Unavailable)


async def test_what_goes_on_after_the_end_is_no_part_of_it(exporter: InMemorySpanExporter) -> None:
    go = asyncio.Event()

    async def linger() -> None:
        await go.wait()
        with tracing.child("later"):
            assert tracing.current() is None

    with tracing.within(tracing.begin("frame")):
        task = asyncio.create_task(linger())
    go.set()
    await task
    assert [span.name for span in exporter.get_finished_spans()] == ["frame"]


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("exporter", "_logging_as_before")
def test_a_line_of_the_log_says_where_it_belongs(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("chat", "INFO", "json")
    with tracing.within(tracing.begin("frame", parent=ONE)) as span:
        get_logger().info("inside")
    get_logger().info("outside")
    inside, outside = map(json.loads, capsys.readouterr().err.splitlines())
    assert span is not None
    assert (inside["trace_id"], inside["span_id"]) == (trace_of(ONE), span_of(span.traceparent))
    assert "trace_id" not in outside
