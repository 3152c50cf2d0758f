"""Sharded pub/sub at one node of a Redis Cluster: one connection, from its beginning to its end.

Other than SUBSCRIBE, SSUBSCRIBE takes channels of one slot only, and is refused where the slot is not. A
refusal does not name its channel, so replies are matched with commands by their order; whenever the two
disagree the connection is given up, which is a gap like any other.
"""

import asyncio
import math
from collections import deque
from collections.abc import Collection
from typing import Final, Protocol

from redis.asyncio import Connection, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, NoPermissionError, RedisError, ResponseError

from edge import metrics
from edge.pubsub.probe import Echo
from mesh.ids import new_object_id
from mesh.logs import get_logger
from mesh.redis_cluster.slots import SlotMap, slot_of
from mesh.urls import Address

_CONNECT_SECONDS: Final = 3.0  # a server that hangs accepts connections and says nothing
_COMMANDS_AT_ONCE: Final = 500
_PATIENCE_SECONDS: Final = 3.0
# A node with one slot of 16,384 needs about as many tries until a probe's name falls on it.
_MOST_NAMES: Final = 100_000

_log = get_logger()


class ShardEvents(Protocol):
    """What a shard tells. None of it may wait or raise."""

    def on_message(self, channel: bytes, payload: bytes) -> None:
        """Something was published."""

    def on_confirmed(self, channel: bytes) -> None:
        """The channel is subscribed to."""

    def on_lost(self, channels: Collection[bytes]) -> None:
        """These are not subscribed to (any more), and nobody asked for that."""


class Shard:
    """The subscriptions at one node while `run` runs."""

    def __init__(
        self,
        address: Address,
        connection: Connection,
        events: ShardEvents,
        *,
        slots: SlotMap,
        publisher: Redis,
        probe_seconds: float,
    ) -> None:
        self.address: Final = address
        self.up = False
        self.connected = False
        """Whether it ever was up."""
        self._connection = connection
        self._events = events
        self._slots = slots
        self._echo = Echo(publisher)
        self._probe_seconds = probe_seconds
        self._channels: set[bytes] = set()
        self._commands: deque[tuple[bytes, bytes]] = deque()  # to send: command, channel
        self._unanswered: deque[tuple[bytes, bytes]] = deque()
        self._changed = asyncio.Event()
        self._probe = b""

    def subscribe(self, channel: bytes) -> None:
        """Asks for a channel whose slot is believed to be here."""
        self._channels.add(channel)
        self._commands.append((b"SSUBSCRIBE", channel))
        self._changed.set()

    def unsubscribe(self, channel: bytes) -> None:
        """Ends a subscription that was confirmed."""
        self._channels.discard(channel)
        self._commands.append((b"SUNSUBSCRIBE", channel))
        self._changed.set()

    async def run(self) -> None:
        """Holds the subscriptions until the connection ends, and tells what is lost by that."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._connection.connect()  # type: ignore[no-untyped-call]  # as published
            self.up = self.connected = True
            _log.info("shard.connected", node=str(self.address), channels=len(self._channels))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(), name=f"shard-read {self.address}")
                group.create_task(self._write(), name=f"shard-write {self.address}")
                group.create_task(self._watch(), name=f"shard-watch {self.address}")
        except* (RedisError, OSError) as errors:
            if self.connected:  # else it was not there, and the loss is told
                _log.warning("shard.lost", node=str(self.address), error=repr(errors.exceptions[0]))
        finally:
            self.up = False
            await self._connection.disconnect(nowait=True)
            self._events.on_lost(self._channels)

    async def _write(self) -> None:
        connection = self._connection
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._commands:
                size = min(_COMMANDS_AT_ONCE, len(self._commands))
                batch = [self._commands.popleft() for _ in range(size)]
                self._unanswered.extend(batch)
                await connection.send_packed_command(connection.pack_commands(batch))

    async def _read(self) -> None:
        read, deliver = self._connection.read_response, self._events.on_message
        while True:
            try:
                response = await read(disable_decoding=True, timeout=math.inf, push_request=True)
            except ResponseError as error:
                self._refused(error)
                continue
            kind, channel, payload = response
            if kind == b"smessage":
                if channel == self._probe:
                    self._echo.on_message(payload)
                else:
                    deliver(channel, payload)
            elif kind == b"ssubscribe":
                self._answered(b"SSUBSCRIBE", channel)
                if channel in self._channels:
                    self._events.on_confirmed(channel)
            elif kind == b"sunsubscribe":
                self._on_unsubscribed(channel)

    def _on_unsubscribed(self, channel: bytes) -> None:
        if self._unanswered and self._unanswered[0] == (b"SUNSUBSCRIBE", channel):
            self._unanswered.popleft()
        elif channel in self._channels:  # the slot went to another node
            self._lose(channel)

    def _refused(self, error: ResponseError) -> None:
        if not self._unanswered:
            raise RedisConnectionError(f"a refusal of nothing: {error}")
        command, channel = self._unanswered.popleft()
        if not isinstance(
            error, MovedError
        ):  # access rules, a cluster that is down: not to be asked for at once
            raise RedisConnectionError(f"refused: {error}")
        if error.slot_id != slot_of(channel):
            raise RedisConnectionError(f"a refusal of something else: {error}")
        self._slots.moved(error.slot_id, Address(error.host or self.address.host, error.port))
        if command == b"SSUBSCRIBE" and channel in self._channels:
            self._lose(channel)

    def _answered(self, command: bytes, channel: bytes) -> None:
        if not self._unanswered or self._unanswered.popleft() != (command, channel):
            raise RedisConnectionError("an answer to something else")

    def _lose(self, channel: bytes) -> None:
        self._slots.invalidate()
        self._channels.discard(channel)
        if channel == self._probe:
            self._probe = b""
        else:
            self._events.on_lost((channel,))

    async def _watch(self) -> None:
        """Ends the shard when what is published for it does not come; see `edge.pubsub.probe`."""
        while True:
            await asyncio.sleep(self._probe_seconds)
            if self.address not in self._slots.primaries and not self._channels - {self._probe}:
                raise RedisConnectionError("the node has no slots any more")
            if not self._probe:
                self._choose_probe()
            probe = self._probe
            if probe and not await self._works(probe) and probe == self._probe:
                metrics.SILENCES.inc()
                self._slots.invalidate()
                raise RedisConnectionError("the subscription is silent")

    def _choose_probe(self) -> None:
        """A channel of this edge alone, in one of the slots of this node."""
        base = new_object_id()
        for number in range(_MOST_NAMES):
            channel = f"edge:{{{base}-{number}}}:probe".encode()
            if self._slots.find(slot_of(channel)) == self.address:
                self._probe = channel
                self.subscribe(channel)
                return

    async def _works(self, probe: bytes) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._echo.returns(probe)
        except NoPermissionError as error:  # of the probe alone, which then tells nothing
            _log.error("probe.refused", node=str(self.address), error=repr(error))
        except (ResponseError, TimeoutError):
            return False
        return True
