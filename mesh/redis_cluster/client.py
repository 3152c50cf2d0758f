"""A ``Redis`` whose commands and pipelines are split by node."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)

from mesh.errors import Unavailable
from mesh.redis_cluster.slots import SlotMap, slot_of, to_address
from mesh.urls import Address

# For so long a call follows a slot on its way: a move takes milliseconds for each hundred keys of the slot.
_PATIENCE_SECONDS: Final = 1.0
_FIRST_PAUSE_SECONDS: Final = 0.005
_LONGEST_PAUSE_SECONDS: Final = 0.1
_SCRIPT_COMMANDS: Final = frozenset({"EVAL", "EVALSHA"})

Command = tuple[tuple[Any, ...], Mapping[str, Any]]
OpenNode = Callable[[Address], AbstractAsyncContextManager[Redis]]


@asynccontextmanager
async def open_cluster(seeds: Sequence[Address], open_node: OpenNode) -> AsyncIterator["ClusterRedis"]:
    """A client of the cluster that the seeds belong to; ``open_node`` makes a client of one node."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(ClusterRedis(seeds, open_node))


class ClusterRedis(Redis):
    """A client that takes commands with one key (or keys of one slot: scripts), PING and SCRIPT LOAD.

    Commands of one pipeline that belong to one slot run in their order. What a node refuses because a slot
    moves is sent where the slot is, for up to a second. PUBLISH becomes SPUBLISH: on a cluster all channels
    are sharded.
    """

    def __init__(self, seeds: Sequence[Address], open_node: OpenNode) -> None:
        # The pool is never connected: it tells the encoding and the callbacks for answers.
        super().__init__(connection_pool=ConnectionPool(host=seeds[0].host, port=seeds[0].port))
        self._open_node = open_node
        self._nodes: dict[Address, tuple[Redis, AsyncExitStack]] = {}
        self._opening = asyncio.Lock()
        self.slots: Final = SlotMap(seeds, self._ask_for_slots)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """As in redis-py."""
        if args[0] == "PING":
            return await self._ping()
        if args[0] == "SCRIPT LOAD":
            return await self._on_every_primary(*args)
        (answer,) = await self.run([(args, options)])
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002 - as in redis-py
        """As in redis-py, but there are no transactions."""
        if transaction:
            raise RedisClusterException("a pipeline over several nodes is no transaction")
        return _ClusterPipeline(self, shard_hint)

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Runs commands; an answer that is a ``RedisError`` stands in its place.

        Raises:
            RedisError, Unavailable, OSError: a node cannot be reached; any of the commands may have run.
        """
        commands = [(_sharded(args), options) for args, options in commands]
        await self.slots.fresh()
        answers: list[Any] = [None] * len(commands)
        waiting: Sequence[int] = range(len(commands))
        asking: dict[int, Address] = {}
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + _PATIENCE_SECONDS
        pause = 0.0
        while True:
            await self._run_parts(commands, waiting, asking, answers)
            asking = {}
            waiting = [index for index in waiting if self._is_elsewhere(index, answers[index], asking)]
            keep_order({index: slot_of(_key(commands[index][0])) for index in waiting}, asking)
            if not waiting or loop.time() > give_up_at:
                return answers
            await asyncio.sleep(pause)
            pause = min(max(_FIRST_PAUSE_SECONDS, pause * 2), _LONGEST_PAUSE_SECONDS)
            await self.slots.fresh()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - as in redis-py
        """Ends the connections to all nodes."""
        while self._nodes:
            _, (_, stack) = self._nodes.popitem()
            await stack.aclose()
        await super().aclose(close_connection_pool)

    async def _run_parts(
        self,
        commands: Sequence[Command],
        indexes: Sequence[int],
        asking: Mapping[int, Address],
        answers: list[Any],
    ) -> None:
        parts: dict[Address, list[int]] = {}
        for index in indexes:
            node = asking.get(index) or self.slots.owner(slot_of(_key(commands[index][0])))
            parts.setdefault(node, []).append(index)
        results = await asyncio.gather(
            *(self._run_on(node, part, commands, asking) for node, part in parts.items()),
            return_exceptions=True,
        )
        for part, result in zip(parts.values(), results, strict=True):
            if isinstance(result, BaseException):
                raise result
            for index, answer in zip(part, result, strict=True):
                answers[index] = answer

    async def _run_on(
        self,
        address: Address,
        indexes: Sequence[int],
        commands: Sequence[Command],
        asking: Mapping[int, Address],
    ) -> list[Any]:
        node = await self._node(address)
        pipe = node.pipeline(transaction=False)
        wanted: list[bool] = []
        for index in indexes:
            if index in asking:
                pipe.execute_command("ASKING")
                wanted.append(False)
            args, options = commands[index]
            pipe.execute_command(*args, **options)
            wanted.append(True)
        try:
            replies = await pipe.execute(raise_on_error=False)
        except (RedisError, Unavailable, OSError):
            self.slots.invalidate()
            raise
        answers = [reply for reply, is_wanted in zip(replies, wanted, strict=True) if is_wanted]
        for answer in answers:
            if isinstance(answer, AskError):
                answer.host = to_address(answer.host, answer.port, address).host
        return answers

    def _is_elsewhere(self, index: int, answer: Any, asking: dict[int, Address]) -> bool:
        """Whether the command was refused, and did not run, because its slot is elsewhere or on its way."""
        if not isinstance(answer, RedisError):
            return False
        if isinstance(answer, MovedError):
            self.slots.moved(answer.slot_id, Address(answer.host, answer.port))
            return True
        if isinstance(answer, AskError):
            asking[index] = Address(answer.host, answer.port)
            return True
        if isinstance(answer, ClusterDownError):
            self.slots.invalidate()
        return isinstance(answer, TryAgainError)

    async def _node(self, address: Address) -> Redis:
        known = self._nodes.get(address)
        if known is None:
            async with self._opening:
                known = self._nodes.get(address)
                if known is None:
                    await self._forget_nodes_that_left()
                    stack = AsyncExitStack()
                    known = (await stack.enter_async_context(self._open_node(address)), stack)
                    self._nodes[address] = known
        return known[0]

    async def _forget_nodes_that_left(self) -> None:
        for address in self._nodes.keys() - self.slots.nodes - self.slots.primaries:
            _, stack = self._nodes.pop(address)
            await stack.aclose()

    async def _ask_for_slots(self, address: Address) -> Any:
        node = await self._node(address)
        return await node.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]  # as published

    async def _ping(self) -> bool:
        """Whether the cluster can be asked for anything: one primary answers. Others may be failing over."""
        await self.slots.fresh()
        problem: Exception = ClusterDownError("no node has slots")
        primaries = sorted(self.slots.primaries)
        random.shuffle(primaries)
        for address in primaries:
            try:
                return bool(await (await self._node(address)).ping())
            except (RedisError, Unavailable, OSError) as error:
                self.slots.invalidate()
                problem = error
        raise problem

    async def _on_every_primary(self, *args: Any) -> Any:
        await self.slots.fresh()
        nodes = [await self._node(address) for address in sorted(self.slots.primaries)]
        results = await asyncio.gather(
            *(node.execute_command(*args) for node in nodes),  # type: ignore[no-untyped-call]  # as published
            return_exceptions=True,
        )
        answers = [result for result in results if not isinstance(result, BaseException)]
        if not answers:
            raise next(iter(results), ClusterDownError("no node has slots"))
        return answers[0]  # a node that was not reached will say so itself


class _ClusterPipeline(Pipeline):
    """A pipeline that is split by node when it is executed."""

    def __init__(self, cluster: ClusterRedis, shard_hint: str | None) -> None:
        super().__init__(
            cluster.connection_pool, cluster.response_callbacks, transaction=False, shard_hint=shard_hint
        )
        self._cluster = cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as in redis-py
        """As in redis-py; see ``ClusterRedis.run``."""
        commands = self.command_stack
        if not commands:
            return []
        try:
            answers = await self._cluster.run(commands)
            if raise_on_error:
                self.raise_first_error(commands, answers)
            return answers
        finally:
            await self.reset()  # type: ignore[no-untyped-call]  # as published


def keep_order(slots: Mapping[int, int], asking: dict[int, Address]) -> None:
    """Lets no command overtake an earlier one of its slot, when a move went on between their refusals.

    While the earlier one goes to the slot's owner again, later ones are not sent to where the slot goes.
    ``slots`` are those of the commands that wait, by their place.
    """
    behind: set[int] = set()
    for index, slot in slots.items():
        if index not in asking:
            behind.add(slot)
        elif slot in behind:
            del asking[index]


def _sharded(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return ("SPUBLISH", *args[1:]) if args[0] == "PUBLISH" else args


def _key(args: Sequence[Any]) -> str | bytes:
    """The key that tells a command's slot: the first of a script, or what follows the command's name."""
    place = 3 if args[0] in _SCRIPT_COMMANDS else 1
    key = args[place] if len(args) > place else None
    if not isinstance(key, str | bytes):
        raise RedisClusterException(f"{args[0]} has no key that tells its node")
    return key
