"""A message keeps its trace through the accept script, the broker and the bulk write, also among others."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chat_service.adapters.redis import keys
from chat_service.rpc.servicer import _trace_of_call
from mesh import tracing
from mesh.rpc import handlers
from parley.chat.v1 import chat_service_pb2 as pb
from parley.events.v1.chat_event_pb2 import ChatEvent
from tests.integration.chat_service.scaffold import World, send_item
from tests.support.polling import eventually

ONE = "00-11111111111111111111111111111111-aaaaaaaaaaaaaaaa-01"
TWO = "00-22222222222222222222222222222222-bbbbbbbbbbbbbbbb-01"


def trace_of(traceparent: str) -> str:
    return traceparent.split("-")[1]


def traces_of(spans: list[ReadableSpan]) -> set[str]:
    return {f"{span.context.trace_id:032x}" for span in spans if span.context}


def linked_from(span: ReadableSpan) -> set[str]:
    return {f"{link.context.trace_id:032x}" for link in span.links}


async def send(world: World, chat_id: str, *traceparents: str) -> None:
    items = [
        send_item(chat_id, f"key-{number}", "the content of a message", traceparent=traceparent)
        for number, traceparent in enumerate(traceparents)
    ]
    with tracing.within(tracing.together("send batch", traceparents)):
        answer = await world.chat.SendMessages(pb.SendMessagesRequest(items=items))
    assert all(result.HasField("accepted") for result in answer.results), answer


async def test_each_message_goes_on_with_its_own_trace(world: World, exporter: InMemorySpanExporter) -> None:
    chat_id = await world.direct()
    exporter.clear()
    await send(world, chat_id, ONE, TWO, "", "no traceparent at all")

    def named(name: str) -> list[ReadableSpan]:
        return [span for span in exporter.get_finished_spans() if span.name == name]

    await eventually(lambda: len(named("store message")) == 2 and bool(named("process message-persist")))
    ours = {trace_of(ONE), trace_of(TWO)}
    rows: Any = await world.redis.xrange(keys.log(chat_id))
    logged = [ChatEvent.FromString(fields[b"e"]).traceparent for _, fields in rows]
    assert [trace_of(traceparent) if traceparent else "" for traceparent in logged] == [
        trace_of(ONE),
        trace_of(TWO),
        "",
        "",
    ]
    assert traces_of(named("accept message")) == traces_of(named("store message")) == ours
    (write,) = named("mongodb insert messages")
    assert linked_from(write) == ours
    (batch,) = named("send batch")
    assert linked_from(batch) == ours
    # The batch's own trace goes through the broker as well.
    (process,) = named("process message-persist")
    assert traces_of([process, write]) == traces_of([batch])
    assert all(traces_of([batch]) <= linked_from(span) for span in named("accept message"))
    assert "the content of a message" not in "".join(span.to_json() for span in exporter.get_finished_spans())


async def test_messages_that_are_not_recorded_leave_no_trace(
    world: World, exporter: InMemorySpanExporter
) -> None:
    chat_id = await world.direct()
    exporter.clear()
    await send(world, chat_id, ONE.removesuffix("01") + "00", "")
    await world.stored(chat_id, 2)
    assert exporter.get_finished_spans() == ()
    rows: Any = await world.redis.xrange(keys.log(chat_id))
    assert [ChatEvent.FromString(fields[b"e"]).traceparent for _, fields in rows] == ["", ""]


@pytest.mark.usefixtures("exporter")
def test_messages_of_other_callers_belong_to_the_trace_of_their_call() -> None:
    with tracing.within(tracing.begin("call", parent=ONE)) as call:
        assert call is not None
        for caller, trace in (("back-office", call.traceparent), ("edge", "")):
            token = handlers._CALLER.set(caller)
            assert _trace_of_call() == trace
            handlers._CALLER.reset(token)
    assert _trace_of_call() == ""
