"""RabbitMQ's alarms: a node that is short of disk or memory reads no more from connections that publish.

It says so, with the reason, by ``connection.blocked`` (https://www.rabbitmq.com/docs/connection-blocked).
aiormq stops writing then and logs the reason, but gives it to nobody; so its handlers of these two frames
are wrapped.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aio_pika.abc import AbstractConnection

_BLOCKED: Final = "_Connection__handle_connection_blocked"
_UNBLOCKED: Final = "_Connection__handle_connection_unblocked"


def watch_alarm(connection: AbstractConnection, on_change: Callable[[str | None], None]) -> None:
    """Calls ``on_change`` with the reason when the broker blocks this connection, and with None afterwards.

    The connection must be open.
    """
    transport = connection.transport
    if transport is None:
        raise RuntimeError("the connection is not open")
    inner: Any = transport.connection
    for name in (_BLOCKED, _UNBLOCKED):
        setattr(inner, name, _watched(getattr(inner, name), on_change))


def _watched(
    handle: Callable[[Any], Awaitable[None]], on_change: Callable[[str | None], None]
) -> Callable[[Any], Awaitable[None]]:
    async def handle_and_report(frame: Any) -> None:
        await handle(frame)
        on_change(getattr(frame, "reason", None))

    return handle_and_report


def alarm_in_words(reason: str) -> str:
    """What an operator should know: it is not the connection, nor a node that is away."""
    return f"its alarm blocks publishers: {reason}"
