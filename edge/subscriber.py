"""The Redis pub/sub subscriptions of this edge: which channels, kept through reconnects, with every gap told.

The client library's own `PubSub` resubscribes behind the caller's back, so that a lost connection goes
unnoticed. Here one connection is opened, read and replaced in plain sight.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from edge import metrics
from mesh.backoff import Backoff
from mesh.errors import unavailable
from mesh.logs import get_logger

_COMMAND_CHANNELS: Final = 500  # channels named by one SUBSCRIBE, so that no command is of unbounded size
_CONFIRM_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 3.0  # a server that hangs accepts connections and says nothing
_RECONNECT_SECONDS: Final = 1.0  # while Redis is down nobody waits longer than this for its return
_log = get_logger()


class Subscriptions(Protocol):
    """What the rooms need of a `Subscriber`, or of a `ClusterSubscriber`."""

    def want(self, channel: bytes) -> None:
        """Subscribes, now or once Redis is back. Idempotent."""

    def unwant(self, channel: bytes) -> None:
        """Allows the subscription to end; it does so a little later, in case the channel is wanted again."""

    async def confirmed(self, channels: Iterable[bytes]) -> None:
        """Returns once Redis has confirmed all of these wanted channels.

        Raises:
            Unavailable: Redis did not within some seconds, fewer while it is down.
        """

    async def check(self) -> None:
        """A readiness check: whether the subscriptions are in place."""

    async def run(self) -> None:
        """Keeps the subscriptions until cancelled."""


@dataclass(slots=True)
class _Channel:
    wanted: bool = True
    unwanted_at: float = 0.0
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class Subscriber:
    """Holds subscriptions to the wanted channels for as long as `run` runs.

    `on_message(channel, payload)` is called for each message, in the order of Redis; it must neither wait nor
    raise. `on_gap()` is called when a lost connection is back and all channels are subscribed again: what was
    published in between is missing. A channel that nobody wants any more stays for `linger_seconds`: people
    come back.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        on_message: Callable[[bytes, bytes], None],
        on_gap: Callable[[], None],
        linger_seconds: float = 20.0,
    ) -> None:
        self._connect = connect
        self._linger = linger_seconds
        self._on_message = on_message
        self._on_gap = on_gap
        self._channels: dict[bytes, _Channel] = {}
        self._pending: set[bytes] = set()  # to subscribe
        self._changed = asyncio.Event()
        self._up = False
        self._silent = asyncio.Event()
        self._resubscribing: set[bytes] | None = None
        self.life = 0
        """Counts the connections: two equal numbers mean that it was the same one all the time."""

    def want(self, channel: bytes) -> None:
        """Subscribes, now or once Redis is back. Idempotent."""
        known = self._channels.get(channel)
        if known is None:
            self._channels[channel] = _Channel()
            self._pending.add(channel)
            self._changed.set()
        else:
            known.wanted = True

    def unwant(self, channel: bytes) -> None:
        """Allows the subscription to end; it does so a little later, in case the channel is wanted again."""
        known = self._channels.get(channel)
        if known is not None:
            known.wanted = False
            known.unwanted_at = asyncio.get_running_loop().time()

    async def confirmed(self, channels: Iterable[bytes]) -> None:
        """Returns once Redis has confirmed all of these wanted channels.

        Raises:
            Unavailable: Redis did not within 5 seconds, or 1 second while it is down.
        """
        try:
            async with asyncio.timeout(_CONFIRM_SECONDS if self._up else _RECONNECT_SECONDS):
                for channel in channels:
                    known = self._channels.get(channel)
                    if known is not None:  # else nobody wants it any more
                        await known.confirmed.wait()
        except TimeoutError as error:
            raise unavailable("redis") from error

    def reconnect(self) -> None:
        """Replaces the connection: it is believed to be dead. Counts as a gap."""
        self._silent.set()

    async def check(self) -> None:
        """A readiness check: whether the subscriptions are in place."""
        if not self._up:
            raise unavailable("redis", "the subscription connection is down")

    async def run(self) -> None:
        """Keeps the subscriptions until cancelled."""
        backoff = Backoff(base=0.1, cap=2.0)
        lost = False
        while True:
            connection = self._connect()
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await connection.connect()  # type: ignore[no-untyped-call]  # as published
                _log.info("subscriber.connected", channels=len(self._channels))
                backoff.reset()
                self._begin(after_loss=lost)
                lost = True
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read(connection), name="subscriber-read")
                    group.create_task(self._write(connection), name="subscriber-write")
                    group.create_task(self._watch(), name="subscriber-watch")
            except* (RedisError, OSError) as errors:
                _log.warning("subscriber.lost", error=repr(errors.exceptions[0]))
            finally:
                self._up = False
                self.life += 1
                for channel in self._channels.values():
                    channel.confirmed.clear()
                await connection.disconnect(nowait=True)
            await asyncio.sleep(backoff.next_delay())

    def _begin(self, *, after_loss: bool) -> None:
        self._channels = {name: channel for name, channel in self._channels.items() if channel.wanted}
        self._pending = set(self._channels)
        self._resubscribing = set(self._channels) if after_loss else None
        self._changed.set()
        self._up = True
        self.life += 1
        self._silent.clear()
        self._end_gap()

    def _end_gap(self) -> None:
        if self._resubscribing is not None and not self._resubscribing:
            self._resubscribing = None
            metrics.GAPS.inc()
            self._on_gap()

    async def _watch(self) -> None:
        await self._silent.wait()
        raise RedisConnectionError("the subscription is silent")

    async def _write(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        look_at = loop.time() + self._linger / 4
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(look_at):
                    await self._changed.wait()
            self._changed.clear()
            while self._pending:
                batch = [self._pending.pop() for _ in range(min(_COMMAND_CHANNELS, len(self._pending)))]
                await connection.send_command("SUBSCRIBE", *batch)
            # By the clock, not when nothing is new: on a busy edge something is always new.
            if loop.time() >= look_at:
                await self._unsubscribe_idle(connection)
                look_at = loop.time() + self._linger / 4

    async def _unsubscribe_idle(self, connection: Connection) -> None:
        before = asyncio.get_running_loop().time() - self._linger
        idle = [
            name
            for name, channel in self._channels.items()
            # Unconfirmed ones wait: their confirmation must not be taken for that of a later SUBSCRIBE.
            if not channel.wanted and channel.unwanted_at < before and channel.confirmed.is_set()
        ]
        for name in idle:
            del self._channels[name]
        for start in range(0, len(idle), _COMMAND_CHANNELS):
            await connection.send_command("UNSUBSCRIBE", *idle[start : start + _COMMAND_CHANNELS])

    async def _read(self, connection: Connection) -> None:
        read, deliver = connection.read_response, self._on_message
        while True:
            response = await read(disable_decoding=True, timeout=math.inf, push_request=True)
            if isinstance(response, Exception):
                raise response
            kind, channel, payload = response
            if kind == b"message":
                deliver(channel, payload)
            elif kind == b"subscribe":
                self._confirm(channel)

    def _confirm(self, channel: bytes) -> None:
        known = self._channels.get(channel)
        if known is not None:
            known.confirmed.set()
        if self._resubscribing is not None:
            self._resubscribing.discard(channel)
            self._end_gap()


def redis_connector(url: str, *, connect_timeout_seconds: float = 1.0) -> Callable[[], Connection]:
    """Makes connections for a `Subscriber` from a `redis://` or `rediss://` URL."""
    pool = ConnectionPool.from_url(
        url,
        # RESP2: in RESP3 the library formats a log line for each message, which costs more than the message.
        protocol=2,
        socket_timeout=None,
        socket_connect_timeout=connect_timeout_seconds,
        socket_keepalive=True,
        socket_read_size=65536,
    )
    return pool.make_connection
