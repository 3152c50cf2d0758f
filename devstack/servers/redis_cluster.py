"""A private Redis Cluster: some Redis servers that share the slots, with or without replicas."""

from __future__ import annotations

import itertools
import time
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from redis import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import RedisError

from devstack.errors import ServerFailedError
from devstack.ports import free_port
from devstack.servers.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_FORM_SECONDS = 30.0
_POLL_SECONDS = 0.05
_MIGRATE_MS = 5_000


class RedisClusterNode(RedisServer):
    """One server of a cluster. `RedisCluster` makes it a member."""

    name: ClassVar[str] = "redis-cluster"
    #: After so long without an answer a node is taken for dead, and its replica takes over.
    node_timeout_ms: ClassVar[int] = 1_000

    @cached_property
    def bus_port(self) -> int:
        """Where the other nodes talk to it."""
        return free_port()

    def _options(self) -> dict[str, str]:
        return super()._options() | {
            "--cluster-enabled": "yes",
            "--cluster-config-file": "nodes.conf",
            "--cluster-node-timeout": str(self.node_timeout_ms),
            "--cluster-port": str(self.bus_port),
            "--cluster-replica-validity-factor": "0",
            "--repl-diskless-sync-delay": "0",
            # A replica that has never heard of its primary is not listed, and this is when it hears.
            "--repl-ping-replica-period": "1",
            # What still has its slots goes on when others have none.
            "--cluster-require-full-coverage": "no",
        }

    def ask(self, *words: str | int) -> Any:
        """One command and its answer, from the blocking client of redis-py.

        Raises:
            RedisError: it cannot be reached, or it answered so.
        """
        with Redis(port=self.port, socket_timeout=_FORM_SECONDS, decode_responses=True) as client:
            return client.execute_command(*words)

    @property
    def id(self) -> str:
        """The node's name among the nodes."""
        return str(self.ask("CLUSTER MYID"))


class RedisCluster:
    """A cluster whose first nodes share the slots evenly; `replicas` more nodes follow each of them."""

    def __init__(self, *, primaries: int = 3, replicas: int = 0) -> None:
        self.primaries = [RedisClusterNode() for _ in range(primaries)]
        #: The replicas of each of the first primaries, in their order.
        self.replicas = [[RedisClusterNode() for _ in range(replicas)] for _ in range(primaries)]

    @property
    def nodes(self) -> list[RedisClusterNode]:
        """All nodes, the first primaries first."""
        return [*self.primaries, *(node for nodes in self.replicas for node in nodes)]

    @property
    def url(self) -> str:
        """`redis+cluster://127.0.0.1:<port>,...` of the first primaries."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.primaries)

    def start(self) -> str:
        """Start all nodes, make them one cluster, wait until it takes commands, and return `url`.

        Raises:
            PortBusyError, ServerMissingError, ServerFailedError: as `Server.start`.
        """
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                self._wait(node.is_ready, f"{node.name} did not answer")
            self._form()
        except BaseException:  # as in `BackingServer.start`
            self.close()
            raise
        return self.url

    def close(self) -> None:
        """End all nodes and remove their data."""
        for node in self.nodes:
            node.kill()
            node.close()

    def owner(self, slot: int) -> RedisClusterNode:
        """The running node that has the slot, as itself says.

        Raises:
            LookupError: there is none.
        """
        for node in self.nodes:
            if node.running:
                for first, last, (_, port, *_), *_ in self._slots(node):
                    if first <= slot <= last and port == node.port:
                        return node
        raise LookupError(f"no node has slot {slot}")

    def move_slot(self, slot: int, to: RedisClusterNode) -> None:
        """Move one slot with all its keys, as `redis-cli --cluster reshard` does, while clients go on."""
        source = self.owner(slot)
        to.ask("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER SETSLOT", slot, "MIGRATING", to.id)
        while keys := source.ask("CLUSTER GETKEYSINSLOT", slot, 10):
            source.ask("MIGRATE", "127.0.0.1", to.port, "", 0, _MIGRATE_MS, "KEYS", *keys)
        # The new owner first: should the mover die in between, no slot is without one.
        to.ask("CLUSTER SETSLOT", slot, "NODE", to.id)
        source.ask("CLUSTER SETSLOT", slot, "NODE", to.id)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _form(self) -> None:
        share = REDIS_CLUSTER_HASH_SLOTS / len(self.primaries)
        for number, node in enumerate(self.primaries):
            node.ask("CLUSTER ADDSLOTSRANGE", round(number * share), round((number + 1) * share) - 1)
            # Different from the start, so that nobody has to find out who has which.
            node.ask("CLUSTER SET-CONFIG-EPOCH", number + 1)
        # Each of each other: to hear of one another by gossip takes seconds.
        for node, other in itertools.combinations(self.nodes, 2):
            node.ask("CLUSTER MEET", "127.0.0.1", other.port, other.bus_port)
        for node in self.nodes:
            self._wait(partial(self._knows_all, node), f"{node.name} did not meet the others")
        for primary, replicas in zip(self.primaries, self.replicas, strict=True):
            for replica in replicas:
                replica.ask("CLUSTER REPLICATE", primary.id)
        for node in self.nodes:
            self._wait(partial(self._serves, node), f"{node.name} did not become ready")

    def _knows_all(self, node: RedisClusterNode) -> bool:
        known = node.ask("CLUSTER NODES")
        return len(known) == len(self.nodes) and not any(
            "handshake" in str(one["flags"]) for one in known.values()
        )

    def _serves(self, node: RedisClusterNode) -> bool:
        ranges = self._slots(node)
        replicas = len(self.replicas[0])
        if sum(last + 1 - first for first, last, *_ in ranges) < REDIS_CLUSTER_HASH_SLOTS:
            return False
        if any(len(holders) != 1 + replicas for _, _, *holders in ranges):
            return False
        link = node.ask("INFO", "replication").get("master_link_status", "up")
        return bool(link == "up" and node.ask("CLUSTER INFO")["cluster_state"] == "ok")

    @staticmethod
    def _slots(node: RedisClusterNode) -> list[Any]:
        # In two words: redis-py has its own form for the answer to "CLUSTER SLOTS".
        answer: list[Any] = node.ask("CLUSTER", "SLOTS")
        return answer

    @staticmethod
    def _wait(is_done: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + _FORM_SECONDS
        while True:
            try:
                if is_done():
                    return
            except RedisError:
                pass  # not yet
            if time.monotonic() > deadline:
                raise ServerFailedError(f"{problem} within {_FORM_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)
