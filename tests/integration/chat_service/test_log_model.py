"""The log, its memory of sends and resuming, on real servers, against a model of a few lists.

Whatever is sent, sent again, lost and asked for in whatever order: a repeat gets its first answer, positions
are dense within an epoch of the log, and a client that resumes sees what the model has, no more and no less.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chat_service.adapters.redis import keys
from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.chat_service.scaffold import World, open_world
from tests.integration.persist_service.conftest import Servers, purge
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

JUMP = 2**20
SENDERS = st.sampled_from(["alice", "bob"])


@dataclass(frozen=True)
class Sent:
    """A send that was accepted, and its answer."""

    user_id: str
    key: str
    content: str
    answer: pb.SendAccepted


@dataclass
class Epoch:
    """One epoch of the log: where it begins, and what each position holds, a message's id or nothing."""

    epoch: int = 1
    base: int = 0
    entries: list[str] = field(default_factory=list)

    @property
    def head(self) -> int:
        return self.base + len(self.entries)


@dataclass
class Reader:
    """A client that is away between two resumes."""

    epoch: int = 0
    seq: int = 0
    seen: list[str] = field(default_factory=list)


class LogMachine(RuleBasedStateMachine):
    """One chat per run."""

    def __init__(self, runner: asyncio.Runner, world: World) -> None:
        super().__init__()
        self._runner = runner
        self.world = world
        self.epoch = Epoch()
        self.earlier = 0  # entries of epochs that are over
        self.lost = False
        self.sends: list[Sent] = []
        self.members = 0
        self.readers = [Reader(), Reader()]

    def run_now(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self._runner.run(awaited())

    @initialize()
    def begin(self) -> None:
        self.chat_id = self.run_now(self.world.group("alice", "bob"))

    def touched(self) -> None:
        """Whatever needs the log first makes the next epoch of one that was lost."""
        if self.lost:
            self.earlier += len(self.epoch.entries)
            self.epoch = Epoch(self.epoch.epoch + 1, self.epoch.head + JUMP)
            self.lost = False

    def all_stored(self) -> None:
        count = self.earlier + len(self.epoch.entries)
        query = {"chatId": {"$exists": True}}
        db = self.world.persist.db

        def reached() -> bool:
            found = 0
            for name in ("messages", "changes"):
                found += sum(
                    str(one["chatId"]) == self.chat_id for one in db[name].find(query, {"chatId": 1})
                )
            return found == count

        self.run_now(eventually(reached))

    @rule(user_id=SENDERS)
    def send(self, user_id: str) -> None:
        self.touched()
        key = f"key-{len(self.sends)}"
        answer = self.run_now(self.world.send(self.chat_id, key, f"words of {key}", user_id)).accepted
        self.epoch.entries.append(answer.message_id)
        assert (answer.epoch, answer.seq, answer.duplicate) == (self.epoch.epoch, self.epoch.head, False)
        self.sends.append(Sent(user_id, key, f"words of {key}", answer))

    @precondition(lambda self: self.sends)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        self.touched()
        sent = data.draw(st.sampled_from(self.sends))
        again = self.run_now(self.world.send(self.chat_id, sent.key, sent.content, sent.user_id)).accepted
        expected = pb.SendAccepted()
        expected.CopyFrom(sent.answer)
        expected.duplicate = True
        assert again == expected

    @precondition(lambda self: self.sends)
    @rule(data=st.data())
    def send_other_words_under_the_same_key(self, data: st.DataObject) -> None:
        self.touched()
        sent = data.draw(st.sampled_from(self.sends))
        refused = self.run_now(self.world.send(self.chat_id, sent.key, "other words", sent.user_id))
        assert refused.error.reason == ErrorReason.ERROR_REASON_DUPLICATE_CONFLICT

    @rule()
    def add_a_member(self) -> None:
        self.touched()
        self.members += 1
        request = pb.AddMembersRequest(
            user_id="alice", chat_id=self.chat_id, member_ids=[f"member-{self.members}"]
        )
        self.run_now(self.world.chat.AddMembers(request))
        self.epoch.entries.append("")

    @rule()
    def redis_loses_everything(self) -> None:
        self.run_now(self.world.redis.flushall())
        self.lost = True

    @rule(kept=st.integers(0, 5))
    def redis_keeps_few_recent_entries(self, kept: int) -> None:
        self.all_stored()
        self.run_now(self.world.redis.xtrim(keys.log(self.chat_id), maxlen=kept, approximate=False))

    @rule()
    def redis_forgets_roles_and_pointers(self) -> None:
        self.run_now(self.world.redis.delete(keys.members(self.chat_id), keys.read(self.chat_id)))

    @rule(which=st.integers(0, 1), limit=st.integers(1, 6))
    def resume(self, which: int, limit: int) -> None:
        self.touched()
        reader = self.readers[which]
        first = True
        while True:
            (found,) = self.run_now(self.world.read((self.chat_id, reader.epoch, reader.seq), limit=limit))
            assert not found.HasField("error"), found
            is_earlier = reader.seq < self.epoch.base or 0 < reader.epoch < self.epoch.epoch
            assert found.reset == is_earlier, (reader, self.epoch)
            assert first or not found.reset
            if found.reset:
                reader.seen, reader.seq = [], self.epoch.base
            for entry in found.entries:
                assert (entry.epoch, entry.seq) == (self.epoch.epoch, reader.seq + 1)
                reader.seq = entry.seq
                reader.seen.append(entry.message.id)
            reader.epoch, first = found.head.epoch, False
            assert found.complete == (reader.seq == self.epoch.head)
            if found.complete:
                break
            assert len(found.entries) == limit
        assert (found.head.epoch, found.head.seq) == (self.epoch.epoch, self.epoch.head)
        assert reader.seen == self.epoch.entries

    @rule(epoch=st.integers(0, 4), seq=st.integers(0, 2**64 - 1) | st.integers(0, 3 * JUMP))
    def resume_from_anywhere(self, epoch: int, seq: int) -> None:
        self.touched()
        (found,) = self.run_now(self.world.read((self.chat_id, epoch, seq), limit=500))
        assert not found.HasField("error"), found
        assert found.complete
        future = seq > self.epoch.head or epoch > self.epoch.epoch
        rebuilt = not future and (seq < self.epoch.base or 0 < epoch < self.epoch.epoch)
        assert found.reset == (future or rebuilt)
        start = self.epoch.head if future else self.epoch.base if rebuilt else seq
        assert [entry.seq for entry in found.entries] == list(range(start + 1, self.epoch.head + 1))

    @invariant()
    def readers_are_never_ahead(self) -> None:
        assert all(reader.seq <= self.epoch.head for reader in self.readers)


@pytest.fixture
def servers(amqp_url: str, mongo_url: str, redis_db: str, mongo_database: str) -> Servers:
    return Servers(amqp_url, mongo_url, redis_db, mongo_database)


@pytest.fixture
def stage(servers: Servers) -> Iterator[tuple[asyncio.Runner, World]]:
    """Both services in a loop that runs while a rule does."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> World:
            await purge(servers.amqp_url)
            return await stack.enter_async_context(open_world(servers))

        try:
            yield runner, runner.run(start())
        finally:
            runner.run(stack.aclose())


@pytest.mark.timeout(240)
def test_whatever_happens_the_log_is_what_the_model_says(stage: tuple[asyncio.Runner, World]) -> None:
    class StagedMachine(LogMachine):
        def __init__(self) -> None:
            super().__init__(*stage)

    run_state_machine_as_test(StagedMachine, settings=settings(max_examples=12, stateful_step_count=25))
