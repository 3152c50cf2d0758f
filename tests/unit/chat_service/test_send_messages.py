"""Accepting messages: what is asked of whom, and what each sender is answered when something is down."""

from dataclasses import dataclass, field

import pytest

from chat_service.domain.events import message_sent
from chat_service.domain.model import Role, Send
from chat_service.ports.log import LogEntry
from chat_service.use_cases.membership_lookup import STRANGERS, MembershipLookup
from chat_service.use_cases.read_pointers import ReadPointers
from chat_service.use_cases.send_messages import RATE_ACTION, SendMessages
from mesh.errors import ParleyError, ResourceExhausted, Unavailable
from mesh.ids import new_object_id
from parley.chat.v1.chat_service_pb2 import SendAccepted
from parley.common.v1.message_pb2 import MESSAGE_TYPE_TEXT, Message
from tests.unit.chat_service.fakes import (
    FakeBroker,
    FakeLimiter,
    FakeLog,
    FakeNonMembers,
    FakeOutbox,
    FakeRecentLog,
    FakeStore,
)

CHAT = new_object_id()
OTHER = new_object_id()


def send(
    key: str, sender: str = "alice", *, chat_id: str = CHAT, content: str = "hello", **more: int
) -> Send:
    said = Message(
        sender_id=sender, chat_id=chat_id, type=MESSAGE_TYPE_TEXT, content=content, client_msg_id=key
    )
    return Send(message_sent(said, 1_700_000_000_000), more.get("read_seq"))


@dataclass
class World:
    """The use case among its ports."""

    log: FakeLog = field(default_factory=FakeLog)
    recent: FakeRecentLog = field(default_factory=FakeRecentLog)
    outbox: FakeOutbox = field(default_factory=FakeOutbox)
    broker: FakeBroker = field(default_factory=FakeBroker)
    store: FakeStore = field(default_factory=FakeStore)
    limiter: FakeLimiter = field(default_factory=FakeLimiter)

    async def send(self, *sends: Send) -> list[SendAccepted | ParleyError]:
        """What each sender is answered."""
        use_case = SendMessages(
            log=self.log,
            outbox=self.outbox,
            broker=self.broker,
            store=self.store,
            limiter=self.limiter,
            lookup=MembershipLookup(self.log, FakeNonMembers(), self.store, self.limiter),
            read_pointers=ReadPointers(self.log, self.recent, self.broker),
            content_limit=100,
        )
        return await use_case(sends)


@pytest.fixture
def world() -> World:
    """A chat of two that Redis knows."""
    world = World()
    world.log.chat(CHAT, "alice", "bob")
    return world


def outcomes(answers: list[SendAccepted | ParleyError]) -> list[int | str]:
    """The position of each message, or why it was refused."""
    return [answer.code if isinstance(answer, ParleyError) else answer.seq for answer in answers]


async def test_accepted_means_marked_before_and_confirmed_and_cleared_after(world: World) -> None:
    assert outcomes(await world.send(send("a"), send("b", "bob"))) == [1, 2]
    assert world.outbox.marked == [CHAT]
    assert [entry.seq for entry in world.broker.persisted] == [1, 2]
    assert world.outbox.cleared == world.broker.persisted
    assert world.store.asked.total() == 0


async def test_nothing_is_tried_while_the_broker_is_down(world: World) -> None:
    world.broker.up = False
    with pytest.raises(Unavailable) as refused:
        await world.send(send("a"))
    assert refused.value.dependency == "rabbitmq"
    assert (world.log.accepting, world.outbox.marked, world.limiter.taken) == ([], [], {})


async def test_bad_messages_fail_alone_and_cost_nothing(world: World) -> None:
    answers = await world.send(send("a", content=" "), send("b"), send("c d"), send("e", content="x" * 101))
    assert outcomes(answers) == ["INVALID_CONTENT", 1, "INVALID_ARGUMENT", "INVALID_CONTENT"]
    assert world.limiter.taken == {(RATE_ACTION, "alice"): 1}


async def test_of_each_sender_the_last_ones_go_beyond_the_rate_and_each_has_its_turn(world: World) -> None:
    world.limiter.tokens[RATE_ACTION] = 1
    answers = await world.send(send("a"), send("b"), send("c", "bob"), send("d"))
    assert outcomes(answers) == [1, "RATE_LIMITED", 2, "RATE_LIMITED"]
    hints = [answer.retry_after_ms for answer in answers if isinstance(answer, ResourceExhausted)]
    assert hints == [1_000, 1_500]


async def test_a_role_that_redis_lacks_is_asked_once_and_remembered() -> None:
    world = World()
    world.log.chat(CHAT)
    world.store.roles[CHAT, "alice"] = Role.MEMBER
    answers = await world.send(send("a"), send("b", "eve"), send("c"))
    assert outcomes(answers) == [1, "NOT_A_MEMBER", 2]
    assert world.store.asked == {"memberships": 1}
    assert outcomes(await world.send(send("d"))) == [3]
    assert world.store.asked == {"memberships": 1}


async def test_who_asks_about_too_many_chats_of_others_is_refused_without_a_question() -> None:
    world = World()
    world.limiter.tokens[STRANGERS] = 0
    assert outcomes(await world.send(send("a"))) == ["RATE_LIMITED"]
    assert world.store.asked.total() == 0


async def test_a_lost_log_gets_its_next_epoch_and_asks_for_earlier_sends() -> None:
    world = World()
    world.log.roles[CHAT, "alice"] = world.store.roles[CHAT, "alice"] = Role.MEMBER
    first = Message()
    first.CopyFrom(send("once").event.message)
    first.seq = 7
    world.store.messages[CHAT] = [first]
    again, new = await world.send(send("once"), send("new"))
    assert isinstance(again, SendAccepted)
    assert (again.message_id, again.seq, again.duplicate) == (first.id, 7, True)
    assert isinstance(new, SendAccepted)
    assert (new.epoch, new.seq, new.duplicate) == (2, 1_001, False)
    assert world.store.asked == {"rebuild_heads": 1, "find_sends": 1}
    assert [len(offered) for offered in world.log.accepting] == [2, 2, 2]


async def test_a_role_a_head_and_earlier_sends_may_all_have_to_be_asked_for() -> None:
    world = World()
    world.store.roles[CHAT, "alice"] = Role.MEMBER
    assert outcomes(await world.send(send("a"))) == [1_001]
    assert world.store.asked == {"memberships": 1, "rebuild_heads": 1, "find_sends": 1}


async def test_a_chat_that_the_store_does_not_know_either_is_nobodys() -> None:
    world = World()
    world.log.roles[CHAT, "alice"] = Role.MEMBER
    assert outcomes(await world.send(send("a"))) == ["NOT_A_MEMBER"]


async def test_without_the_store_only_what_needs_it_is_refused(world: World) -> None:
    world.store.down = True
    answers = await world.send(send("a"), send("b", chat_id=OTHER), send("c"))
    assert outcomes(answers) == [1, "UNAVAILABLE", 2]
    assert [entry.seq for entry in world.broker.persisted] == [1, 2]
    # It was no question: what was taken for it is given back.
    assert world.limiter.taken[STRANGERS, "alice"] == 0


async def test_without_a_confirm_nobody_may_call_a_message_durable(world: World) -> None:
    await world.send(send("once"))
    world.broker.confirms = False
    again, new, other = await world.send(send("once"), send("new"), send("once", content="other"))
    assert isinstance(again, SendAccepted)
    assert again.duplicate  # it was handed over before
    assert isinstance(new, Unavailable)
    assert outcomes([other]) == ["DUPLICATE_CONFLICT"]
    assert [entry.seq for entry in world.outbox.cleared] == [1]


async def test_a_repeat_of_what_was_never_confirmed_hands_it_over(world: World) -> None:
    world.broker.confirms = False
    await world.send(send("once"))
    (left,) = world.log.sent.values()
    world.log.waiting[left[1].message_id] = LogEntry(CHAT, 1, b"entry")
    assert outcomes(await world.send(send("once"))) == ["UNAVAILABLE"]
    world.broker.confirms = True
    assert outcomes(await world.send(send("once"))) == [1]
    assert [entry.seq for entry in world.broker.persisted] == [1]


async def test_an_outbox_that_cannot_be_cleared_is_left_to_the_sweeper(world: World) -> None:
    world.outbox.down = True
    assert outcomes(await world.send(send("a"))) == [1]
    assert world.outbox.cleared == []


async def test_who_read_by_sending_is_announced_and_the_message_counts_without_it(world: World) -> None:
    world.log.read_others = {"alice"}
    assert outcomes(await world.send(send("a"), send("b", "bob"))) == [1, 2]
    (read,) = world.log.announced
    assert (read.read.user_id, read.read.seq, read.occurred_at_ms > 0) == ("alice", 1, True)
    world.log.down = {"announce"}
    assert outcomes(await world.send(send("c"))) == [3]


async def test_who_says_how_far_it_has_read_moves_its_pointer_so_far(world: World) -> None:
    world.recent.messages[CHAT] = [Message(id="m", seq=4, number=4), Message(id="k", seq=3, number=3)]
    await world.send(send("a", read_seq=3))
    assert world.log.reads[CHAT, "alice"].seq == 3
    assert [(move.user_id, move.read.seq) for move in world.broker.moved] == [("alice", 3)]
    await world.send(send("b", read_seq=0))
    assert len(world.broker.moved) == 1


async def test_a_trace_that_is_not_recorded_leaves_no_field(world: World) -> None:
    traced = send("a")
    traced.event.traceparent = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    await world.send(traced)
    assert world.log.accepting[0][0].event.traceparent == ""
