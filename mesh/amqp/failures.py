"""How aio-pika tells that the broker is away, refuses, or does not answer."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiormq
from aio_pika.exceptions import DeliveryError, PublishError

from mesh.cancellation import is_cancelled

AMQP_ERRORS: Final = (aiormq.AMQPError, aiormq.ChannelInvalidStateError, OSError, TimeoutError, RuntimeError)
_CLOSED: Final = "the connection closed while the broker owed an answer"


def is_silence(error: BaseException) -> bool:
    """Whether the broker said nothing, or nothing to go by; that it returned a message is an answer."""
    return isinstance(error, AMQP_ERRORS) and not isinstance(error, PublishError)


def is_nack(error: BaseException) -> bool:
    """Whether the broker refused to keep a message: the queue is full, or most of its members are gone."""
    return isinstance(error, DeliveryError) and not isinstance(error, PublishError)


@contextmanager
def closing_is_an_error() -> Iterator[None]:
    """Surrounds what waits for the broker.

    A connection that closes cancels the answers it owes, or raises a bare ``Exception`` for them if we closed
    it ourselves. Unnoticed, the first would end whatever task waits for one, silently and for good.

    Raises:
        ConnectionError: the connection closed.
    """
    try:
        yield
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        raise ConnectionError(_CLOSED) from None
    except Exception as error:
        if type(error) is Exception:
            raise ConnectionError(_CLOSED) from None
        raise
