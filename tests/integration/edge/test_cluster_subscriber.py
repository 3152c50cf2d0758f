"""The subscriptions of an edge on a real Redis Cluster: slots that move, nodes that go, nodes that freeze."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from pydantic import SecretStr

from devstack.servers import RedisCluster
from devstack.servers.redis_cluster import RedisClusterNode
from edge.pubsub.channels import Channels
from edge.pubsub.cluster_subscriber import ClusterSubscriber
from edge.pubsub.subscriber import redis_connector
from mesh.redis import node_url, open_redis
from mesh.redis_cluster.client import ClusterRedis
from mesh.redis_cluster.slots import slot_of
from tests.support.polling import eventually

_CHANNELS = [b"chat:{%d}" % number for number in range(40)]


@dataclass
class Listener:
    """A subscriber, all it heard, and a publisher beside it."""

    redis: ClusterRedis
    channels: Channels
    heard: list[tuple[bytes, bytes]] = field(default_factory=list)
    gaps: list[bytes] = field(default_factory=list)
    subscriber: ClusterSubscriber = field(init=False)

    def on_message(self, channel: bytes, payload: bytes) -> None:
        self.heard.append((channel, payload))

    def on_gap(self, channels: Collection[bytes]) -> None:
        self.gaps.extend(channels)

    async def publish(self, channels: Collection[bytes], payload: bytes) -> None:
        for channel in channels:
            await self.redis.publish(channel.decode(), payload)


@asynccontextmanager
async def listening(url: str, *, linger: float = 20.0) -> AsyncIterator[Listener]:
    """A listener that runs while entered."""
    async with open_redis(SecretStr(url), timeout_seconds=None) as redis:
        assert isinstance(redis, ClusterRedis)
        listener = Listener(redis, Channels(linger_seconds=linger))
        listener.subscriber = ClusterSubscriber(
            listener.channels,
            redis,
            lambda node: redis_connector(node_url(SecretStr(url), node).get_secret_value())(),
            on_message=listener.on_message,
            on_gap=listener.on_gap,
            probe_seconds=0.2,
        )
        running = asyncio.create_task(listener.subscriber.run())
        try:
            yield listener
        finally:
            running.cancel()
            await asyncio.wait([running])


async def _in_place(channels: Channels, names: Collection[bytes]) -> None:
    """Returns once all are confirmed, however often it takes."""
    async with asyncio.timeout(30):
        while True:
            with suppress(Exception):
                await channels.confirmed(names)
                return
            await asyncio.sleep(0.05)


async def test_what_is_published_to_any_node_is_heard_once_and_in_order(redis_cluster: str) -> None:
    async with listening(redis_cluster) as listener:
        for channel in _CHANNELS:
            listener.channels.acquire(channel)
        await _in_place(listener.channels, _CHANNELS)
        await listener.subscriber.check()
        for number in range(20):
            await listener.publish(_CHANNELS, b"%d" % number)
        await eventually(lambda: len(listener.heard) >= 20 * len(_CHANNELS))
        for channel in _CHANNELS:
            assert [payload for name, payload in listener.heard if name == channel] == [
                b"%d" % number for number in range(20)
            ]
        assert not listener.gaps


async def test_a_channel_that_nobody_wants_ends_and_can_be_wanted_again(
    redis_nodes: RedisCluster, redis_cluster: str
) -> None:
    def subscribers(channel: bytes) -> int:
        node = redis_nodes.owner(slot_of(channel))
        return int(node.ask("PUBSUB", "SHARDNUMSUB", channel.decode())[1])

    async with listening(redis_cluster, linger=0.1) as listener:
        for channel in _CHANNELS[:2]:
            listener.channels.acquire(channel)
        await _in_place(listener.channels, _CHANNELS[:2])
        listener.channels.release(_CHANNELS[0])
        await eventually(lambda: subscribers(_CHANNELS[0]) == 0)
        assert subscribers(_CHANNELS[1]) == 1
        listener.channels.acquire(_CHANNELS[0])
        await _in_place(listener.channels, _CHANNELS[:2])
        assert subscribers(_CHANNELS[0]) == 1
        assert not listener.gaps


async def test_a_slot_that_moves_is_a_gap_of_its_channels_alone(
    redis_nodes: RedisCluster, redis_cluster: str
) -> None:
    moved = _CHANNELS[0]
    async with listening(redis_cluster) as listener:
        for channel in _CHANNELS:
            listener.channels.acquire(channel)
        await _in_place(listener.channels, _CHANNELS)
        for node in redis_nodes.primaries:
            if redis_nodes.owner(slot_of(moved)) is node:
                continue
            listener.gaps.clear()
            await asyncio.to_thread(redis_nodes.move_slot, slot_of(moved), node)
            await eventually(lambda: listener.gaps)
            assert listener.gaps == [moved]
            listener.heard.clear()
            await listener.publish(_CHANNELS, b"after")
            await eventually(lambda: len(listener.heard) >= len(_CHANNELS))
            assert sorted(listener.heard) == sorted((channel, b"after") for channel in _CHANNELS)


async def test_a_node_that_dies_is_a_gap_of_its_channels_once_its_replica_has_them() -> None:
    with RedisCluster(replicas=1) as cluster:
        async with listening(cluster.url) as listener:
            for channel in _CHANNELS:
                listener.channels.acquire(channel)
            await _in_place(listener.channels, _CHANNELS)
            victim = cluster.owner(slot_of(_CHANNELS[0]))
            gone = {channel for channel in _CHANNELS if cluster.owner(slot_of(channel)) is victim}
            await _hears_again(listener, gone, victim.kill)
            await listener.subscriber.check()
            # One that freezes keeps its connections: only what does not come through them tells.
            frozen = next(node for node in cluster.primaries if node is not victim)
            stuck = {channel for channel in _CHANNELS if cluster.owner(slot_of(channel)) is frozen}
            await _hears_again(listener, stuck, frozen.pause)


async def _hears_again(listener: Listener, gone: set[bytes], go: Callable[[], None]) -> None:
    listener.gaps.clear()
    go()
    await eventually(lambda: gone <= set(listener.gaps))
    assert sorted(listener.gaps) == sorted(gone)
    listener.heard.clear()
    await listener.publish(_CHANNELS, b"after")
    await eventually(lambda: len(listener.heard) >= len(_CHANNELS))
    assert sorted(listener.heard) == sorted((channel, b"after") for channel in _CHANNELS)


def _publishes_refused(node: RedisClusterNode) -> int:
    return int(node.ask("INFO", "commandstats").get("cmdstat_spublish", {}).get("rejected_calls", 0))


async def test_a_probe_that_redis_refuses_tells_nothing(
    redis_nodes: RedisCluster, redis_cluster: str
) -> None:
    """Access rules are no silence: the connections stay."""
    async with listening(redis_cluster) as listener:
        for channel in _CHANNELS:
            listener.channels.acquire(channel)
        await _in_place(listener.channels, _CHANNELS)
        try:
            for node in redis_nodes.primaries:
                node.ask("ACL", "SETUSER", "default", "-spublish")
                node.ask("CONFIG", "RESETSTAT")
            await eventually(lambda: all(_publishes_refused(node) >= 3 for node in redis_nodes.primaries))
        finally:
            for node in redis_nodes.primaries:
                node.ask("ACL", "SETUSER", "default", "+spublish")
        await listener.publish(_CHANNELS, b"after")
        await eventually(lambda: len(listener.heard) >= len(_CHANNELS))
        assert not listener.gaps
