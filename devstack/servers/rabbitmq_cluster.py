"""A private RabbitMQ cluster: nodes that keep the same quorum queues."""

from __future__ import annotations

import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from devstack.errors import ServerFailedError
from devstack.servers.epmd import PortMapper
from devstack.servers.rabbitmq import RabbitMQServer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from devstack.process import ManagedProcess

_MEND_SECONDS = 60.0
_POLL_SECONDS = 0.05

# What docs/operations.md#clusters asks for.
_CONFIG = """\
cluster_partition_handling = pause_minority
queue_leader_locator = balanced
cluster_formation.peer_discovery_backend = classic_config
"""

# How many members of quorum queues there are, and how many of them follow a leader or lead.
_MEMBERS = """\
States = [proplists:get_value(<<"Raft State">>, Member)
          || Queue <- rabbit_amqqueue:list(), amqqueue:get_type(Queue) =:= rabbit_quorum_queue,
             {_, _, _, Name} <- [amqqueue:get_name(Queue)],
             Member <- rabbit_quorum_queue:status(<<"/">>, Name)],
{length(States), length([State || State <- States, State =:= leader orelse State =:= follower])}"""


class RabbitMQClusterNode(RabbitMQServer):
    """One node of a cluster, to which `RabbitMQCluster` introduces it."""

    name: ClassVar[str] = "rabbitmq-cluster"

    def __init__(self, node_name: str, names: Sequence[str], port_mapper: PortMapper, home: Path) -> None:
        super().__init__()
        self.node_name = node_name
        self._names = names
        self._port_mapper = port_mapper
        self._home = home

    def _describe(self) -> tuple[ManagedProcess, ...]:
        return (self._node(self._port_mapper),)

    def _launch(self) -> None:
        self._processes[-1].start()

    def _config(self) -> str:
        names = (
            f"cluster_formation.classic_config.nodes.{number} = {name}\n"
            for number, name in enumerate(self._names, 1)
        )
        return super()._config() + _CONFIG + "".join(names)

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"HOME": str(self._home)}


class RabbitMQCluster:
    """Three nodes, user guest, vhost `/`; ready 10 to 20 s after its start.

    Quorum queues have a member on each. Call `mend` before a node is killed: a member that is lost within
    seconds of its queue's declaration may come back broken.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="parley-rabbitmq-", ignore_cleanup_errors=True)
        home = Path(self._folder.name)
        cookie = home / ".erlang.cookie"  # before the nodes, which would each make one
        cookie.write_text(secrets.token_hex(), encoding="ascii")
        cookie.chmod(0o400)
        self._port_mapper = PortMapper(home)
        names = [f"parley-{number}@localhost" for number in (1, 2, 3)]
        self.nodes = [RabbitMQClusterNode(name, names, self._port_mapper, home) for name in names]

    @property
    def url(self) -> str:
        """`amqp://guest:guest@127.0.0.1:<port>,.../` of all nodes."""
        return "amqp://guest:guest@" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes) + "/"

    def start(self) -> str:
        """Start all nodes, wait until they are one cluster, and return `url`.

        Raises:
            PortBusyError, ServerMissingError, ServerFailedError: as `Server.start`.
        """
        try:
            self._port_mapper.start()
            self.mend()
        except BaseException:  # as in `BackingServer.start`
            self.close()
            raise
        return self.url

    def close(self) -> None:
        """End all nodes and remove their data."""
        for node in self.nodes:
            node.kill()
            node.close()
        self._port_mapper.process.kill()
        self._folder.cleanup()

    def leader(self, queue: str) -> RabbitMQClusterNode:
        """The node that leads a quorum queue.

        Raises:
            LookupError: there is none now.
        """
        find = f'element(2, ra_leaderboard:lookup_leader(list_to_atom("%2F_{queue}")))'
        for node in self.nodes:
            if node.running:
                name = node.ask(find).strip("'")
                for one in self.nodes:
                    if one.node_name == name and one.running:
                        return one
        raise LookupError(f"nobody leads {queue}")

    def mend(self) -> None:
        """Start what does not run, let nodes that were cut off talk with the others, and wait.

        Returns once all nodes answer, see each other and serve each quorum queue.

        Raises:
            PortBusyError, ServerFailedError: as `Server.start`, or it took longer than 60 s after that.
        """
        started = [node for node in self.nodes if not node.running]
        for node in started:
            node.launch()
        for node in started:
            while not node.is_ready():
                time.sleep(_POLL_SECONDS)
        names = ", ".join(f"'{node.node_name}'" for node in self.nodes)
        for node in self.nodes:
            node.ask(f"[erlang:set_cookie(Node, erlang:get_cookie()) || Node <- [{names}] -- [node()]]")
        deadline = time.monotonic() + _MEND_SECONDS
        while missing := [text for text in map(self._missing, self.nodes) if text]:
            if time.monotonic() > deadline:
                raise ServerFailedError(f"the cluster is not whole: {missing}")
            time.sleep(_POLL_SECONDS)

    def cut_off(self, node: RabbitMQClusterNode) -> None:
        """Let no other node talk with this one, as a broken network would, until `mend`; clients still do."""
        for other in self.nodes:
            if other is not node:
                # Each side a wrong cookie of its own, or they would match.
                node.ask(f"erlang:set_cookie('{other.node_name}', '{node.node_name}')")
                other.ask(f"erlang:set_cookie('{node.node_name}', '{other.node_name}')")
        # From all at once: Erlang parts nodes that disagree on whom they see.
        node.ask("[erlang:disconnect_node(Node) || Node <- nodes()]")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _missing(self, node: RabbitMQClusterNode) -> str:
        """What the node misses; empty when it misses nothing."""
        try:
            running = node.ask("length(rabbit_mnesia:cluster_nodes(running))")
            members, serving = node.ask(_MEMBERS).strip("{}").split(", ")
        except ServerFailedError as error:
            return str(error)
        if running == str(len(self.nodes)) and members == serving:
            return ""
        return f"{node.node_name} sees {running} nodes, and {serving} of {members} members of queues serve"
