"""How aio-pika tells that the broker is away, refuses, or does not answer."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiormq
from aio_pika.exceptions import DeliveryError

from mesh.cancellation import is_cancelled

AMQP_ERRORS: Final = (aiormq.AMQPError, aiormq.ChannelInvalidStateError, OSError, TimeoutError, RuntimeError)


def is_silence(error: BaseException) -> bool:
    """Whether the broker said nothing; that it returned or refused a message is an answer."""
    return isinstance(error, AMQP_ERRORS) and not isinstance(error, DeliveryError)


@contextmanager
def closing_is_an_error() -> Iterator[None]:
    """Surrounds what waits for the broker.

    A connection that closes cancels the answers it owes. Unnoticed, that would end whatever task waits for
    one, silently and for good.

    Raises:
        ConnectionError: the connection closed.
    """
    try:
        yield
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        raise ConnectionError("the connection closed while the broker owed an answer") from None
