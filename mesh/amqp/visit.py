"""A connection to RabbitMQ for a command: made once to the first host that takes it, closed at its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection
from pydantic import SecretStr

from mesh.amqp.failures import AMQP_ERRORS, closing_is_an_error
from mesh.amqp.hosts import node_urls
from mesh.errors import Unavailable, unavailable

_CONNECT_SECONDS: Final = 5.0


@asynccontextmanager
async def visiting(url: SecretStr) -> AsyncIterator[AbstractConnection]:
    """A connection while entered.

    Raises:
        Unavailable: no host can be reached, or the one that was went away.
    """
    connection = await _connect(url)
    try:
        with closing_is_an_error():
            yield connection
    except AMQP_ERRORS as error:
        raise _unavailable(error) from error
    finally:
        await connection.close()


async def _connect(url: SecretStr) -> AbstractConnection:
    problem: Exception | None = None
    for node in node_urls(url):
        connection = aio_pika.Connection(node)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await connection.connect()
        except AMQP_ERRORS as error:
            problem = problem or error
            await connection.close()
        else:
            return connection
    raise _unavailable(problem) from problem


def _unavailable(error: Exception | None) -> Unavailable:
    return unavailable("rabbitmq", f"rabbitmq: {str(error) or type(error).__name__}")
