"""Which node has which slot, kept true by what the nodes answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ClusterDownError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from mesh.cancellation import end
from mesh.errors import ParleyError
from mesh.logs import get_logger
from mesh.urls import Address

_ASK_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.2  # between two questions while nodes fail: a failover takes longer than this
_log = get_logger()


def slot_of(key: str | bytes) -> int:
    """The hash slot of a key or a sharded channel (Redis Cluster specification, "Key distribution model")."""
    return int(key_slot(key.encode() if isinstance(key, str) else key))


def hash_tag(name: str) -> str:
    """A name as it stands between the braces of keys that are to share a slot.

    Braces with nothing between them are no tag (same place, "Hash tags"), and the first one closes it. So a
    control character, which no id of a user has, comes before a name that begins with one.
    """
    return f"\x1f{name}" if name.startswith("}") else name


class SlotMap:
    """The slots of the cluster. ``ask(address)`` sends CLUSTER SLOTS to a node and gives its bare answer."""

    def __init__(self, seeds: Sequence[Address], ask: Callable[[Address], Awaitable[Any]]) -> None:
        self._seeds = tuple(seeds)
        self._ask = ask
        self._owners: list[Address | None] = []
        self._nodes: frozenset[Address] = frozenset()
        self.primaries: frozenset[Address] = frozenset()
        """The nodes that have slots."""
        self._invalid = True
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def nodes(self) -> frozenset[Address]:
        """All nodes heard of, replicas and those of the URL included."""
        return self._nodes.union(self._seeds)

    def owner(self, slot: int) -> Address:
        """The node that is believed to have the slot.

        Raises:
            ClusterDownError: no node has it.
        """
        owner = self.find(slot)
        if owner is None:
            self._invalid = True
            raise ClusterDownError(f"slot {slot} is on no node")
        return owner

    def find(self, slot: int) -> Address | None:
        """As ``owner``; None if no node has the slot."""
        return self._owners[slot] if self._owners else None

    def moved(self, slot: int, to: Address) -> None:
        """A node said that the slot is elsewhere; where one moved, others may have.

        The map is asked for a little later: just now some nodes may not have heard of it.
        """
        if self._owners and self._owners[slot] != to:
            self._change([*self._owners[:slot], to, *self._owners[slot + 1 :]])
            self._asked_at = time.monotonic()
        self._invalid = True

    def invalidate(self) -> None:
        """Something failed as it would if the map were wrong: it is asked for again."""
        self._invalid = True

    async def fresh(self) -> None:
        """Asks for the map if it was invalidated, but not all the time. An old map is better than none.

        Raises:
            RedisConnectionError: there never was a map, and no node gives one.
        """
        if not self._is_due():
            return
        async with self._lock:
            if not self._is_due():  # another caller asked meanwhile
                return
            self._asked_at = time.monotonic()
            answer = await self._first_answer()
            if answer is not None:
                self._invalid = False
                self._take(answer)
            elif not self._owners:
                raise RedisConnectionError("no node of the cluster gives its slots")

    def _is_due(self) -> bool:
        just_asked = bool(self._owners) and time.monotonic() - self._asked_at < _PAUSE_SECONDS
        return self._invalid and not just_asked

    async def _first_answer(self) -> Any | None:
        """Of all nodes at once: one that hangs must not be waited for."""
        questions = [
            asyncio.create_task(self._question(node), name=f"slots {node}") for node in sorted(self.nodes)
        ]
        try:
            for question in asyncio.as_completed(questions):
                answer = await question
                if answer:
                    return answer
        finally:
            await end(*questions)
        return None

    async def _question(self, node: Address) -> list[tuple[int, int, list[Address]]]:
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                return [_parse_range(row, node) for row in await self._ask(node)]
        except (RedisError, ParleyError, OSError) as error:
            _log.debug("redis_cluster.no_slots", node=str(node), error=repr(error))
            return []

    def _take(self, ranges: Iterable[tuple[int, int, list[Address]]]) -> None:
        owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        nodes: set[Address] = set()
        for first, last, holders in ranges:
            owners[first : last + 1] = [holders[0]] * (last + 1 - first)
            nodes.update(holders)
        self._nodes = frozenset(nodes)
        if owners != self._owners:
            self._change(owners)
            uncovered = owners.count(None)
            _log.info("redis_cluster.slots", primaries=sorted(map(str, self.primaries)), uncovered=uncovered)

    def _change(self, owners: list[Address | None]) -> None:
        self._owners = owners
        self.primaries = frozenset(owner for owner in owners if owner is not None)


def _parse_range(row: Any, asked: Address) -> tuple[int, int, list[Address]]:
    """One row of CLUSTER SLOTS: first, last, then the primary and its replicas as host, port, id, ..."""
    first, last, *holders = row
    return int(first), int(last), [to_address(host, port, asked) for host, port, *_ in holders]


def to_address(host: bytes | str | None, port: int, asked: Address) -> Address:
    """An address as a node tells it; without a host it means its own (cluster-preferred-endpoint-type)."""
    name = host.decode() if isinstance(host, bytes) else host
    return Address(name if name and name != "?" else asked.host, int(port))
