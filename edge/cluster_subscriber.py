"""The subscriptions of this edge on a Redis Cluster: each channel at the node that has its slot.

The same promises as `edge.subscriber.Subscriber`, but a loss concerns single channels: those of a slot that
moved, or of a node that went.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Connection
from redis.exceptions import RedisError

from edge import metrics
from edge.shard import Shard
from mesh.backoff import Backoff
from mesh.errors import ParleyError, unavailable
from mesh.logs import get_logger
from mesh.redis_cluster.client import ClusterRedis
from mesh.redis_cluster.slots import slot_of
from mesh.urls import Address

_CONFIRM_SECONDS: Final = 5.0
_PARTED_SECONDS: Final = 1.0  # while a node is missing nobody waits longer than this for its return
_RETRY_SECONDS: Final = 0.2
_LASTING_SECONDS: Final = 5.0  # a connection that stood for so long is made again at once

_log = get_logger()


@dataclass(slots=True)
class _Channel:
    wanted: bool = True
    unwanted_at: float = 0.0
    lost: bool = False  # it was confirmed once: when it is again, something may be missing
    shard: Shard | None = None
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Node:
    """When a node may be connected to again."""

    backoff: Backoff = field(default_factory=lambda: Backoff(base=0.1, cap=2.0))
    not_before: float = 0.0


class ClusterSubscriber:
    """Holds subscriptions to the wanted channels for as long as `run` runs.

    `on_message(channel, payload)` must neither wait nor raise; messages of one channel come in the order of
    Redis. `on_gap(channels)` is called when channels that were lost are subscribed to again: what was
    published in between is missing. A channel that nobody wants any more stays for `linger_seconds`.

    `redis` finds the nodes and publishes the probes, every `probe_seconds` to each node.
    """

    def __init__(
        self,
        redis: ClusterRedis,
        connect: Callable[[Address], Connection],
        *,
        on_message: Callable[[bytes, bytes], None],
        on_gap: Callable[[Collection[bytes]], None],
        probe_seconds: float,
        linger_seconds: float = 20.0,
    ) -> None:
        self.on_message = on_message
        self._redis = redis
        self._slots = redis.slots
        self._connect = connect
        self._on_gap = on_gap
        self._probe_seconds = probe_seconds
        self._linger = linger_seconds
        self._channels: dict[bytes, _Channel] = {}
        self._homeless: set[bytes] = set()
        self._shards: dict[Address, Shard] = {}
        self._nodes: dict[Address, _Node] = {}
        self._changed = asyncio.Event()

    def want(self, channel: bytes) -> None:
        """Subscribes, now or once its node is there. Idempotent."""
        known = self._channels.get(channel)
        if known is None:
            self._channels[channel] = _Channel()
            if not self._place(channel):
                self._homeless.add(channel)
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
        """Returns once the nodes have confirmed all of these wanted channels.

        Raises:
            Unavailable: they did not within 5 seconds, or 1 second while a node is missing.
        """
        try:
            async with asyncio.timeout(_PARTED_SECONDS if self._homeless else _CONFIRM_SECONDS):
                for channel in channels:
                    known = self._channels.get(channel)
                    if known is not None:  # else nobody wants it any more
                        await known.confirmed.wait()
        except TimeoutError as error:
            raise unavailable("redis") from error

    async def check(self) -> None:
        """A readiness check: whether anything can be heard. The loss of one node of many is not all."""
        if not any(shard.up for shard in self._shards.values()):
            raise unavailable("redis", "no subscription connection is up")

    async def run(self) -> None:
        """Keeps the subscriptions until cancelled."""
        loop = asyncio.get_running_loop()
        look_at = loop.time()
        self.on_lost(self._channels)  # by an earlier run
        try:
            async with asyncio.TaskGroup() as shards:
                while True:
                    await self._find_homes(shards)
                    if loop.time() >= look_at:
                        self._end_idle()
                        look_at = loop.time() + self._linger / 4
                    self._changed.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_RETRY_SECONDS if self._homeless else self._linger / 4):
                            await self._changed.wait()
        finally:
            self._shards.clear()

    def on_confirmed(self, channel: bytes) -> None:
        """See `ShardEvents`."""
        known = self._channels.get(channel)
        if known is None:
            return
        known.confirmed.set()
        if known.lost:
            known.lost = False
            self._on_gap((channel,))

    def on_lost(self, channels: Collection[bytes]) -> None:
        """See `ShardEvents`."""
        for channel in channels:
            known = self._channels.get(channel)
            if known is not None:
                known.lost = known.lost or known.confirmed.is_set()
                known.confirmed.clear()
                known.shard = None
                self._homeless.add(channel)
        self._changed.set()

    async def _find_homes(self, shards: asyncio.TaskGroup) -> None:
        try:
            await self._slots.fresh()
        except (RedisError, ParleyError, OSError) as error:
            _log.debug("cluster_subscriber.no_slots", error=repr(error))
        now = asyncio.get_running_loop().time()
        for address in self._slots.primaries - self._shards.keys():
            node = self._nodes.setdefault(address, _Node())
            if now >= node.not_before:
                shard = self._new_shard(address)
                self._shards[address] = shard
                shards.create_task(self._keep(shard, node), name=f"shard {address}")
        for address in self._nodes.keys() - self._shards.keys() - self._slots.primaries:
            del self._nodes[address]
        for channel in list(self._homeless):
            if self._place(channel):
                self._homeless.discard(channel)

    def _new_shard(self, address: Address) -> Shard:
        return Shard(
            address,
            self._connect(address),
            self,
            slots=self._slots,
            publisher=self._redis,
            probe_seconds=self._probe_seconds,
        )

    async def _keep(self, shard: Shard, node: _Node) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            await shard.run()
            # Of slots that move nothing is counted: that is no sign of trouble.
            metrics.GAPS.inc(shard.connected)
        finally:
            if self._shards.get(shard.address) is shard:
                del self._shards[shard.address]
            if loop.time() - started > _LASTING_SECONDS:
                node.backoff.reset()
            node.not_before = loop.time() + node.backoff.next_delay()
            self._slots.doubt()
            self._changed.set()

    def _place(self, channel: bytes) -> bool:
        """Subscribes at the node that has the channel's slot; false if there is no connection to it."""
        known = self._channels.get(channel)
        if known is None or known.shard is not None:
            return True
        owner = self._slots.find(slot_of(channel))
        shard = None if owner is None else self._shards.get(owner)
        if shard is None:
            return False
        known.shard = shard
        shard.subscribe(channel)
        return True

    def _end_idle(self) -> None:
        before = asyncio.get_running_loop().time() - self._linger
        for name, channel in list(self._channels.items()):
            if channel.wanted or channel.unwanted_at >= before:
                continue
            if channel.shard is None:
                del self._channels[name]
            elif channel.confirmed.is_set():  # else its confirmation would be taken for that of a later one
                channel.shard.unsubscribe(name)
                del self._channels[name]
