"""Traces through RabbitMQ: the header of a message, and one span per batch at either end."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mesh import tracing

if TYPE_CHECKING:  # both stand on this module
    from collections.abc import Sequence

    from mesh.amqp.deliveries import Delivery, Handler, Outcome
    from mesh.amqp.publishing import Outgoing

_SYSTEM: Final = {"messaging.system": "rabbitmq"}


def traced(queue: str, handler: "Handler") -> "Handler":
    """The same handler, in a span that goes on with the traces of the deliveries."""

    async def handle(deliveries: "Sequence[Delivery]") -> "Sequence[Outcome]":
        if not tracing.on():
            return await handler(deliveries)
        span = tracing.together(
            f"process {queue}",
            [str(delivery.headers.get(tracing.HEADER, "")) for delivery in deliveries],
            kind=tracing.Kind.CONSUMER,
            attributes={
                **_SYSTEM,
                "messaging.destination.name": queue,
                "messaging.batch.message_count": len(deliveries),
            },
        )
        with tracing.within(span):
            return await handler(deliveries)

    return handle


def publishing(messages: "Sequence[Outgoing]") -> "tuple[tracing.Span | None, Sequence[Outgoing]]":
    """The span of their publishing, to be entered, and the messages with its header; as they are for None."""
    if not messages:
        return None, messages
    queues = sorted({message.routing_key for message in messages})
    span = tracing.step(
        f"publish {', '.join(queues)}",
        kind=tracing.Kind.PRODUCER,
        attributes={**_SYSTEM, "messaging.batch.message_count": len(messages)},
    )
    if span is None:
        return None, messages
    return span, [_carrying(message, span) for message in messages]


def _carrying(message: "Outgoing", span: tracing.Span) -> "Outgoing":
    if tracing.HEADER in message.headers:
        return message  # moved, to be tried again say: it stays a part of its own trace
    return replace(message, headers={**message.headers, tracing.HEADER: span.traceparent})
