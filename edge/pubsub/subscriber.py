"""The Redis pub/sub subscriptions of this edge, kept through reconnects, with every gap told.

The client library's own `PubSub` resubscribes behind the caller's back, so that a lost connection goes
unnoticed. Here one connection is opened, read and replaced in plain sight.
"""

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from edge import metrics
from edge.pubsub.channels import Channels
from mesh.backoff import Backoff
from mesh.errors import unavailable
from mesh.logs import get_logger
from mesh.parts import parts

_COMMAND_CHANNELS: Final = 500  # channels named by one SUBSCRIBE, so that no command is of unbounded size
_CONNECT_SECONDS: Final = 3.0  # a server that hangs accepts connections and says nothing
_log = get_logger()


class Subscriber:
    """Holds subscriptions to the wanted `channels` for as long as `run` runs.

    `on_message(channel, payload)` is called for each message, in the order of Redis; it must neither wait nor
    raise. `on_gap()` is called when a lost connection is back and all channels are subscribed again: what was
    published in between is missing.
    """

    def __init__(
        self,
        channels: Channels,
        connect: Callable[[], Connection],
        *,
        on_message: Callable[[bytes, bytes], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._channels = channels
        self._connect = connect
        self._on_message = on_message
        self._on_gap = on_gap
        self._silent = asyncio.Event()
        self._resubscribing: set[bytes] | None = None
        self.generation = 0
        """Counts the connections: two equal numbers mean that it was the same one all the time."""

    def reconnect(self) -> None:
        """Replaces the connection: it is believed to be dead. Counts as a gap."""
        self._silent.set()

    async def check(self) -> None:
        """A readiness check: whether the subscriptions are in place."""
        if self._channels.degraded:
            raise unavailable("redis", "the subscription connection is down")

    async def run(self) -> None:
        """Keeps the subscriptions until cancelled."""
        backoff = Backoff(base=0.1, cap=2.0)
        lost = told = False
        while True:
            connection = self._connect()
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await connection.connect()  # type: ignore[no-untyped-call]  # as published
                _log.info("subscriber.connected", channels=len(self._channels))
                backoff.reset()
                self._begin(after_loss=lost)
                lost, told = True, False
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read(connection), name="subscriber-read")
                    group.create_task(self._write(connection), name="subscriber-write")
                    group.create_task(self._watch(), name="subscriber-watch")
            except* (RedisError, OSError) as errors:
                if not told:  # each attempt to get it back fails too
                    told = True
                    _log.warning("subscriber.lost", error=repr(errors.exceptions[0]))
            finally:
                self._channels.degraded = True
                self.generation += 1
                self._channels.lose(self._channels)
                await connection.disconnect(nowait=True)
            await asyncio.sleep(backoff.next_delay())

    def _begin(self, *, after_loss: bool) -> None:
        self._resubscribing = set(self._channels) if after_loss else None
        self._channels.degraded = False
        self.generation += 1
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
        loop, channels = asyncio.get_running_loop(), self._channels
        pause = channels.linger_seconds / 4
        look_at = loop.time() + pause
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(look_at):
                    await channels.changed.wait()
            channels.changed.clear()
            while channels.missing:
                size = min(_COMMAND_CHANNELS, len(channels.missing))
                await connection.send_command("SUBSCRIBE", *(channels.missing.pop() for _ in range(size)))
            # By the clock, not when nothing is new: on a busy edge something is always new.
            if loop.time() >= look_at:
                idle = channels.take_idle()
                for some in parts(idle, _COMMAND_CHANNELS):
                    await connection.send_command("UNSUBSCRIBE", *some)
                look_at = loop.time() + pause

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
        self._channels.confirm(channel)
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
