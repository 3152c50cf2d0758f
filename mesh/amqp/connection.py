"""One connection to RabbitMQ that comes back by itself, and publishing that is confirmed or refused.

Not ``aio_pika.connect_robust``: it waits a fixed time between attempts without jitter, it gives up on a
failed first attempt or hides it, and a publish on its channels waits for the connection to return instead of
being refused. Here a connection is a *session*: made with back-off, given to consumers, and thrown away whole
when it ends.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from pamqp.common import FieldValue
from pydantic import SecretStr
from yarl import URL

from mesh import tracing
from mesh.amqp.alarms import alarm_in_words, watch_alarm
from mesh.amqp.failures import AMQP_ERRORS, closing_is_an_error, is_nack, is_silence
from mesh.amqp.hosts import node_urls
from mesh.amqp.publishing import KEEPS_NOTHING, Outgoing, Publisher
from mesh.amqp.topology import Topology
from mesh.amqp.traces import publishing
from mesh.backoff import Backoff
from mesh.breaker import Breaker
from mesh.cancellation import end
from mesh.errors import unavailable
from mesh.logs import get_logger
from mesh.metrics import AMQP_CONFIRM_SECONDS, AMQP_PUBLISHED
from mesh.outage import Outage

DEPENDENCY: Final = "rabbitmq"
_CONNECT_SECONDS: Final = 5.0
# A broker that just started elects leaders first. Several hosts share this time: one that is cut off from the
# others may never come to it.
_PROOF_SECONDS: Final = 20.0
_RETIRE_SECONDS: Final = 10.0  # longer than anything waits for a confirm
_GOODBYE_SECONDS: Final = 3.0  # aiormq waits 2 s for the broker's
_log = get_logger()


class Session:
    """One generation of the connection: a channel for publishing, and a sign when it is over."""

    def __init__(self, connection: AbstractConnection, publisher: Publisher) -> None:
        self.connection = connection
        self.publisher = publisher
        self.ended = asyncio.Event()
        self._retiring: set[asyncio.Task[None]] = set()
        connection.close_callbacks.add(self._on_closed)
        publisher.channel.close_callbacks.add(self._on_closed)

    async def renew(self) -> None:
        """Publishes on a new channel from now on, once the broker has kept what came by it.

        The old one may be the trouble: what a channel first brings to a queue while its leader is dying is
        refused, and so is all after it until that node is back (RabbitMQ before 3.12.5; rabbitmq-server pull
        request 9241).

        Raises:
            ConnectionError: the broker keeps nothing.
            aiormq.AMQPError, aiormq.ChannelInvalidStateError: no answer.
        """
        publisher = await Publisher.open(self.connection)
        try:
            await publisher.prove()
        except BaseException:
            self._retire(publisher.channel, after_seconds=0)
            raise
        publisher.channel.close_callbacks.add(self._on_closed)
        old, self.publisher = self.publisher, publisher
        old.channel.close_callbacks.discard(self._on_closed)
        self._retire(old.channel, after_seconds=_RETIRE_SECONDS)

    def _retire(self, channel: AbstractChannel, *, after_seconds: float) -> None:
        task = asyncio.create_task(self._close(channel, after_seconds), name="amqp-retired-channel")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _close(self, channel: AbstractChannel, after_seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(after_seconds):
                await self.ended.wait()  # it ends with the connection
                return
        with contextlib.suppress(*AMQP_ERRORS), closing_is_an_error():
            await channel.close()

    def _on_closed(self, *_: object) -> None:
        self.ended.set()


class Broker:
    """The process's connection to RabbitMQ; enter it, and leave it to disconnect.

    Entering does not wait for the broker: it is tried for ever, with back-off, also when it was never there.
    Each session begins by declaring the topology.

    Of a URL with several hosts (``amqp://user:password@a,b,c/vhost``) each attempt takes the next, from one
    by chance on, so that the connections of many processes spread. All are tried before a wait.
    """

    def __init__(
        self,
        url: SecretStr,
        *,
        name: str,
        topology: Topology | None = None,
        publish_timeout_seconds: float = 5.0,
        backoff: Backoff | None = None,
    ) -> None:
        self.topology = topology or Topology()
        self._urls = [node.update_query(name=name, heartbeat="10") for node in node_urls(url)]
        self._next = secrets.randbelow(len(self._urls))
        self._failures = 0  # in a row
        self._publish_timeout = publish_timeout_seconds
        self._backoff = backoff or Backoff(base=0.2, cap=2.0)
        self._session: Session | None = None
        self._alarm: str | None = None
        self._blocked = Outage("amqp.blocked", "amqp.unblocked", quiet_seconds=0)
        self._unconfirmed = Outage("amqp.publish_failed", "amqp.publish_works")
        self._up = asyncio.Event()
        self._breaker = Breaker(DEPENDENCY, self._probe, is_silence=is_silence, on_open=self._abandon_session)
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._problems: dict[URL, str] = {}  # the last of each host, since there was a session

    @property
    def is_up(self) -> bool:
        """Whether a publish has a chance now. False means that it would be refused at once."""
        return self._up.is_set()

    async def check(self) -> None:
        """A readiness check.

        Raises:
            Unavailable: there is no connection; says why.
        """
        if not self.is_up:
            problems = dict.fromkeys(self._problems.values())
            if self._alarm is not None:
                raise unavailable(DEPENDENCY, alarm_in_words(self._alarm))
            raise unavailable(DEPENDENCY, "; ".join(problems) or "not connected yet")

    async def session(self) -> Session:
        """The live session, waiting for one as long as it takes."""
        while True:
            await self._up.wait()
            if self._session is not None:
                return self._session

    async def publish(
        self, queue: str, body: bytes, *, headers: Mapping[str, FieldValue] | None = None
    ) -> None:
        """Puts one message into ``queue``; returning promises that the broker keeps it.

        Raises:
            Unavailable: not confirmed. After a loss of the connection the broker may have it all the same, so
                consumers see some messages twice.
        """
        await self.publish_many((Outgoing(queue, body, headers or {}),))

    async def publish_many(self, messages: Sequence[Outgoing]) -> None:
        """Publishes all and awaits their confirms together: one round trip. All confirmed, or it raises.

        Raises:
            Unavailable: at once when the broker is known to be down; when any is not confirmed in time, and
                some of the others may have arrived.
        """
        if tracing.current() is None:
            await self._publish_many(messages)
            return
        span, carrying = publishing(messages)
        with tracing.within(span):
            await self._publish_many(carrying)

    async def _publish_many(self, messages: Sequence[Outgoing]) -> None:
        session = self._session
        if session is None:
            _count(messages, "refused")
            raise unavailable(DEPENDENCY)
        publisher = session.publisher
        started = time.perf_counter()
        try:
            with self._breaker.guard():
                async with asyncio.timeout(self._publish_timeout):
                    await _all_of(publisher, messages)
        except AMQP_ERRORS as error:
            _count(messages, "failed")
            if is_nack(error) and not publisher.is_fresh:
                self._breaker.suspect()
            if not session.ended.is_set():  # else the loss of the connection is logged, once
                self._unconfirmed.failed(error=_describe(error), messages=len(messages))
            raise unavailable(DEPENDENCY) from error
        self._unconfirmed.worked()
        AMQP_CONFIRM_SECONDS.observe(time.perf_counter() - started)
        _count(messages, "confirmed")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="amqp-connection")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._breaker.close()
        if self._task is not None:
            await end(self._task)

    async def _run(self) -> None:
        while True:
            url = self._urls[self._next]
            self._next = (self._next + 1) % len(self._urls)
            try:
                with closing_is_an_error():
                    await self._one_session(url)
            except Exception as error:  # noqa: BLE001 - the task's last boundary: the next session is tried
                problem = _describe(error)
            else:
                problem = "the connection ended"
            self._failures += 1
            tried_all = self._failures % len(self._urls) == 0
            delay = self._backoff.next_delay() if tried_all else 0.0
            if problem not in self._problems.values():  # the same failure again and again is logged once
                _log.warning("amqp.disconnected", error=problem, retry_in_seconds=round(delay, 2))
            self._problems[url] = problem
            await asyncio.sleep(delay)

    async def _one_session(self, url: URL) -> None:
        # Not aio_pika.connect: it drops a connection that failed without closing it, and the collector then
        # finds one that is open, perhaps in a thread without an event loop.
        connection = aio_pika.Connection(url)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await connection.connect()
            watch_alarm(connection, self._on_alarm)
            session = await self._prepare(connection)
            self._breaker.answered()
            self._session = session
            self._alarm = None
            self._blocked.worked()
            self._problems.clear()
            self._failures = 0
            self._up.set()
            self._backoff.reset()
            _log.info("amqp.connected", host=url.host, port=url.port)
            await session.ended.wait()
        finally:
            self._session = None
            self._up.clear()
            await self._hang_up(connection)

    async def _prepare(self, connection: AbstractConnection) -> Session:
        try:
            async with asyncio.timeout(_PROOF_SECONDS / len(self._urls)):
                await self._declare(connection)
                publisher = await Publisher.open(connection)
                await publisher.prove()
        except TimeoutError as error:
            raise ConnectionError(alarm_in_words(self._alarm) if self._alarm else KEEPS_NOTHING) from error
        return Session(connection, publisher)

    def _on_alarm(self, reason: str | None) -> None:
        self._alarm = reason
        if reason is not None:
            self._blocked.failed(reason=reason)

    async def _hang_up(self, connection: AbstractConnection) -> None:
        # A broker that hangs says no goodbye; closing does not bear being cancelled, so it ends alone.
        goodbye = asyncio.create_task(connection.close(), name="amqp-goodbye")
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)
        await asyncio.wait((goodbye,), timeout=_GOODBYE_SECONDS)

    async def _probe(self) -> None:
        if self._session is None:
            await self._up.wait()  # a session that begins proves itself
        else:
            await self._session.renew()

    def _abandon_session(self) -> None:
        if self._session is not None:
            self._session.ended.set()
            self._session = None
            self._up.clear()

    async def _declare(self, connection: AbstractConnection) -> None:
        # A channel of its own: a refused declaration closes the channel it was made on.
        async with await connection.channel(publisher_confirms=False) as channel:
            await self.topology.declare(channel)


async def _all_of(publisher: Publisher, messages: Sequence[Outgoing]) -> None:
    if len(messages) == 1:
        await publisher.publish(messages[0])
        return
    results = await asyncio.gather(*map(publisher.publish, messages), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _count(messages: Sequence[Outgoing], result: str) -> None:
    for message in messages:
        AMQP_PUBLISHED.labels(message.routing_key, result).inc()


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__
