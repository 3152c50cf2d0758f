"""Whether the client of a backing server takes a URL with all that it says, asked without connecting.

Else a mistake in it shows late: as a process that never connects, or that runs without what was asked for.
Each check raises a ``ValueError`` that names options and never values, for a URL holds a password.
"""

# A service imports the clients of the servers that it uses, and only these.
# ruff: noqa: PLC0415

import re
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from mesh.urls import parse_hosts

_CLUSTER: Final = "+cluster"
_SRV: Final = "mongodb+srv://"
_DATABASE_NUMBER: Final = re.compile(r"/?\d*", re.ASCII)


def check_redis(url: str) -> None:
    """For ``redis://`` and ``rediss://``, of one server or (``+cluster``) of the nodes of a cluster.

    Raises:
        ValueError: redis-py does not take it, or would leave the database out.
    """
    if _DATABASE_NUMBER.fullmatch(parse_hosts(url).tail.partition("?")[0]) is None:
        raise ValueError("the database must be a number")
    _check(url, _take_redis)


def check_amqp(url: str) -> None:
    """For ``amqp://`` and ``amqps://``.

    Raises:
        ValueError: the files of ``cafile``, ``capath``, ``certfile`` and ``keyfile`` are not usable.
    """
    _check(url, _take_amqp)


def check_mongo(url: str) -> None:
    """For ``mongodb://`` and ``mongodb+srv://``; no name is looked up.

    Raises:
        ValueError: PyMongo does not take it, or only warns and leaves options out.
    """
    _check(url, _take_mongo)


def _check(url: str, take: Callable[[str], None]) -> None:
    if _takes(take, url):
        return
    base, _, query = url.partition("?")
    if not _takes(take, base):
        raise ValueError("user, password and database need percent-encoding where they are not plain text")
    options = query.split("&")
    suspects = [option.partition("=")[0] for option in options if not _takes(take, f"{base}?{option}")]
    # What is no name may be the rest of a password that holds a question mark.
    names = [name if name.isidentifier() else "one that is no name" for name in suspects]
    raise ValueError(f"look at its options: {', '.join(names or ['they do not go together'])}")


def _takes(take: Callable[[str], None], url: str) -> bool:
    try:
        take(url)
    except (ValueError, TypeError, OSError):  # TypeError: the client knows no such option
        return False
    return True


def _take_redis(url: str) -> None:
    from redis.asyncio import ConnectionPool, SSLConnection
    from redis.exceptions import RedisError

    parts = parse_hosts(url)
    node = parts.with_host(parts.addresses(0)[0], scheme=parts.scheme.removesuffix(_CLUSTER))
    try:
        connection = ConnectionPool.from_url(node).make_connection()  # type: ignore[no-untyped-call]  # as published
        if isinstance(connection, SSLConnection):
            connection.ssl_context.get()
    except RedisError as error:
        raise ValueError(str(error)) from error


def _take_amqp(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "amqps":
        return
    options = dict(parse_qsl(parts.query))
    context = ssl.create_default_context(cafile=options.get("cafile"), capath=options.get("capath"))
    if "certfile" in options:
        # A key with a passphrase must fail: without an answer here OpenSSL would ask on the terminal.
        context.load_cert_chain(options["certfile"], options.get("keyfile"), password="")


def _take_mongo(url: str) -> None:
    from pymongo.errors import PyMongoError
    from pymongo.uri_parser import parse_uri

    if url.startswith(_SRV):  # parsing one would look its hosts up
        base, _, query = url.removeprefix(_SRV).partition("?")
        options = (option for option in query.split("&") if not option.lower().startswith("srv"))
        url = f"mongodb://{base}?{'&'.join(options)}"
    try:
        parse_uri(url, warn=False)
    except PyMongoError as error:
        raise ValueError(str(error)) from error
