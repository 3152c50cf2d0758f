"""One message is one trace, from the client's frame to the push, through every process."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial

import pytest

from tests.e2e.conftest import Connect
from tests.e2e.mesh import Client, Mesh, Rest
from tests.support.polling import eventually
from tests.support.providers.collector import Collector, Span
from tests.support.providers.push_endpoint import PushEndpoint

MakeRest = Callable[[str], Rest]

#: Of one message to one person who is away, in the order of its way: span, process, and the span above.
WAY = (
    ("send-message", "edge", "the client"),
    ("send batch", "edge", "send-message"),
    ("parley.chat.v1.ChatService/SendMessages", "edge", "send batch"),
    ("parley.chat.v1.ChatService/SendMessages", "chat", "parley.chat.v1.ChatService/SendMessages"),
    ("redis charge", "chat", "parley.chat.v1.ChatService/SendMessages"),
    ("redis mark", "chat", "parley.chat.v1.ChatService/SendMessages"),
    ("redis accept", "chat", "parley.chat.v1.ChatService/SendMessages"),
    ("publish message-persist", "chat", "parley.chat.v1.ChatService/SendMessages"),
    ("redis clear", "chat", "parley.chat.v1.ChatService/SendMessages"),
    ("accept message", "chat", "send-message"),
    ("deliver to room", "edge", "accept message"),
    ("process message-persist", "persist", "publish message-persist"),
    ("mongodb insert messages", "persist", "process message-persist"),
    ("store message", "persist", "accept message"),
    ("publish notification-send", "persist", "process message-persist"),
    ("process notification-send", "notify", "publish notification-send"),
    ("intake notification", "notify", "store message"),
    ("notify user", "notify", "intake notification"),
    ("push web-push", "notify", "notify user"),
)


@pytest.fixture
async def collector(mesh: Mesh, traces_port: int) -> AsyncIterator[Collector]:
    del mesh
    async with Collector(traces_port) as collector:
        yield collector


@pytest.fixture
async def endpoint() -> AsyncIterator[PushEndpoint]:
    async with PushEndpoint() as started:
        yield started


@pytest.fixture
async def alice(mesh: Mesh, connect: Connect) -> Client:
    return await connect(f"alice-{uuid.uuid4().hex[:8]}", mesh.edges[0])


class Trace:
    """One that a client begins."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.id, self.span_id = secrets.token_hex(16), secrets.token_hex(8)
        self.header = f"00-{self.id}-{self.span_id}-{sampled:02x}"


async def send(client: Client, chat_id: str, content: str, traceparent: str) -> str:
    """A message that must be accepted, in a frame with a `traceparent`; the message's id."""
    data = {"chatId": chat_id, "content": content, "clientMsgId": uuid.uuid4().hex}
    reply = await client.ask("send-message", data, traceparent=traceparent)
    assert reply["event"] == "ack", reply
    message_id: str = reply["data"]["messageId"]
    return message_id


async def chat_with(alice: Client, user_id: str) -> str:
    chat_id: str = (await alice.rest.post("/chats", {"userId": user_id}))["chat"]["id"]
    return chat_id


def parents(spans: list[Span], trace: Trace) -> set[tuple[str, str, str]]:
    """Name, process, and the name of the span above."""
    names = {span.id: span.name for span in spans} | {trace.span_id: "the client"}
    return {(span.name, span.service, names.get(span.parent_id, "?")) for span in spans}


def includes(way: set[tuple[str, str, str]], trace: Trace, spans: list[Span]) -> bool:
    return way <= parents(spans, trace)


def has(spans: list[Span], names: Iterable[str], service: str) -> bool:
    return set(names) <= {span.name for span in spans if span.service == service}


async def test_one_message_is_one_trace_from_the_frame_to_the_push(
    collector: Collector, alice: Client, rest: MakeRest, endpoint: PushEndpoint
) -> None:
    bob = f"bob-{uuid.uuid4().hex[:8]}"
    config = await rest(bob).get("/push-config")
    browser = endpoint.subscribe(config["vapidPublicKey"])
    keys = {"p256dh": browser.p256dh, "auth": browser.auth}
    await rest(bob).post("/devices", {"kind": "web-push", "address": browser.url, "keys": keys})
    trace = Trace()
    message_id = await send(alice, await chat_with(alice, bob), "a secret between us", trace.header)
    spans = await collector.trace(
        trace.id,
        lambda spans: {(name, service) for name, service, _ in WAY} <= {(s.name, s.service) for s in spans},
    )
    assert set(WAY) <= parents(spans, trace)
    assert not [span for span in spans if span.failure]
    told = {span.attributes["parley.message_id"] for span in spans if "parley.message_id" in span.attributes}
    assert told == {message_id}
    assert "a secret between us" not in repr(spans)
    assert browser.url not in repr(spans)


async def test_a_request_is_traced_through_the_services_behind_it(
    collector: Collector, alice: Client
) -> None:
    trace, call = Trace(), "parley.chat.v1.ChatService/ListChats"
    answer = await alice.rest._client.get("/chats", headers={"traceparent": trace.header})
    assert answer.status_code == 200
    spans = await collector.trace(trace.id, lambda spans: has(spans, ("GET ChatsHandler", call), "edge"))
    spans = await collector.trace(trace.id, lambda spans: has(spans, (call,), "chat"))
    assert {
        ("GET ChatsHandler", "edge", "the client"),
        (call, "edge", "GET ChatsHandler"),
        (call, "chat", call),
    } <= parents(spans, trace)


async def test_only_what_is_to_be_recorded_is_exported(collector: Collector, alice: Client) -> None:
    chat_id = await chat_with(alice, f"carol-{uuid.uuid4().hex[:8]}")
    unwanted, wanted = Trace(sampled=False), Trace()
    await send(alice, chat_id, "not recorded", unwanted.header)
    await alice.say(chat_id, "without a trace")  # the share of the mesh of these tests is 0
    await send(alice, chat_id, "what is no traceparent is ignored", "00-zz")
    await send(alice, chat_id, "recorded", wanted.header)
    await collector.trace(wanted.id, lambda spans: any(span.name == "store message" for span in spans))
    recorded = [span for span in collector.spans if span.attributes.get("parley.chat_id") == chat_id]
    assert {span.trace_id for span in recorded} == {wanted.id}
    assert not [span for span in collector.spans if span.trace_id == unwanted.id]


async def test_where_several_traces_meet_they_are_linked(
    mesh: Mesh, collector: Collector, connect: Connect
) -> None:
    dora = await connect(
        f"dora-{uuid.uuid4().hex[:8]}", mesh.edges[1]
    )  # clients of an edge may have 10 at once
    chat_id = await chat_with(dora, f"emil-{uuid.uuid4().hex[:8]}")
    traces = [Trace() for _ in range(8)]
    await asyncio.gather(*(send(dora, chat_id, "hello", trace.header) for trace in traces))
    ids = {trace.id for trace in traces}

    def joint(name: str) -> list[Span]:
        """Of traces of their own, with links to several of ours."""
        return [
            span
            for span in collector.spans
            if span.name == name and span.trace_id not in ids and len(links_of(span) & ids) > 1
        ]

    await eventually(lambda: joint("send batch") and joint("notify user"), "batches are linked")
    way = {
        ("accept message", "chat", "send-message"),
        ("store message", "persist", "accept message"),
        ("intake notification", "notify", "store message"),
    }
    for trace in traces:  # each process exports its spans when it likes, the last of the way may be the first
        await collector.trace(trace.id, partial(includes, way, trace))
    for batch in joint("send batch"):
        back = {span.trace_id for span in collector.spans if (batch.trace_id, batch.id) in span.links}
        assert back & ids == links_of(batch)


def links_of(span: Span) -> set[str]:
    return {trace_id for trace_id, _ in span.links}
