"""The subscriptions of this edge on a Redis Cluster: each channel at the node that has its slot.

The same promises as `edge.pubsub.subscriber.Subscriber`, but a loss concerns single channels: those of a slot
that moved, or of a node that went.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Connection
from redis.exceptions import RedisError

from edge import metrics
from edge.pubsub.channels import Channels
from edge.pubsub.shard import Shard
from mesh.backoff import Backoff
from mesh.errors import ParleyError, unavailable
from mesh.logs import get_logger
from mesh.redis_cluster.client import ClusterRedis
from mesh.redis_cluster.slots import slot_of
from mesh.urls import Address

_RETRY_SECONDS: Final = 0.2
_LASTING_SECONDS: Final = 5.0  # a connection that stood for so long is made again at once

_log = get_logger()


@dataclass(slots=True)
class _Node:
    """When a node may be connected to again."""

    backoff: Backoff = field(default_factory=lambda: Backoff(base=0.1, cap=2.0))
    not_before: float = 0.0


class ClusterSubscriber:
    """Holds subscriptions to the wanted `channels` for as long as `run` runs.

    `on_message(channel, payload)` must neither wait nor raise; messages of one channel come in the order of
    Redis. `on_gap(channels)` is called when channels that were lost are subscribed to again: what was
    published in between is missing.

    `redis` finds the nodes and publishes the probes, every `probe_seconds` to each node.
    """

    def __init__(
        self,
        channels: Channels,
        redis: ClusterRedis,
        connect: Callable[[Address], Connection],
        *,
        on_message: Callable[[bytes, bytes], None],
        on_gap: Callable[[Collection[bytes]], None],
        probe_seconds: float,
    ) -> None:
        self.on_message = on_message
        self._channels = channels
        self._redis = redis
        self._slots = redis.slots
        self._connect = connect
        self._on_gap = on_gap
        self._probe_seconds = probe_seconds
        self._homes: dict[bytes, Shard] = {}  # of the channels that are not missing
        self._shards: dict[Address, Shard] = {}
        self._nodes: dict[Address, _Node] = {}

    async def check(self) -> None:
        """A readiness check: whether anything can be heard. The loss of one node of many is not all."""
        if not any(shard.up for shard in self._shards.values()):
            raise unavailable("redis", "no subscription connection is up")

    async def run(self) -> None:
        """Keeps the subscriptions until cancelled."""
        loop, channels = asyncio.get_running_loop(), self._channels
        pause = channels.linger_seconds / 4
        look_at = loop.time()
        self.on_lost(channels)  # by an earlier run
        try:
            async with asyncio.TaskGroup() as shards:
                while True:
                    channels.changed.clear()
                    await self._find_homes(shards)
                    if loop.time() >= look_at:
                        for name in channels.take_idle():
                            self._homes.pop(name).unsubscribe(name)
                        look_at = loop.time() + pause
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_RETRY_SECONDS if channels.missing else pause):
                            await channels.changed.wait()
        finally:
            channels.degraded = True
            self._shards.clear()

    def on_confirmed(self, channel: bytes) -> None:
        """See `ShardEvents`."""
        if self._channels.confirm(channel):
            self._on_gap((channel,))

    def on_lost(self, channels: Iterable[bytes]) -> None:
        """See `ShardEvents`."""
        lost = list(channels)
        for channel in lost:
            self._homes.pop(channel, None)
        self._channels.lose(lost)

    async def _find_homes(self, shards: asyncio.TaskGroup) -> None:
        self._place_missing()  # most need no news of the slots
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
        self._place_missing()
        lacking = self._slots.primaries - self._shards.keys()
        self._channels.degraded = bool(self._channels.missing or lacking or not self._shards)

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
            self._slots.invalidate()
            self._channels.changed.set()

    def _place_missing(self) -> None:
        """Subscribes at the nodes that have the channels' slots, as far as there are connections to them."""
        for channel in tuple(self._channels.missing):
            owner = self._slots.find(slot_of(channel))
            shard = None if owner is None else self._shards.get(owner)
            if shard is not None:
                self._channels.missing.discard(channel)
                self._homes[channel] = shard
                shard.subscribe(channel)
