"""Coming back: what was missed comes in order and once, and live goes on behind it."""

import asyncio
from typing import Any

import pytest

from mesh.errors import unavailable
from parley.common.v1 import chat_pb2
from parley.events.v1.chat_event_pb2 import ChatEvent, MemberRemoved, MembersAdded
from tests.integration.edge.conftest import Client, Edge, StartEdge
from tests.integration.edge.scaffold import ScaffoldChat
from tests.support.polling import eventually

BOTH_FORMS = True  # of the protocol

CHAT = "c" * 24
OTHER = "d" * 24


@pytest.fixture(autouse=True)
def memberships(chat: ScaffoldChat) -> None:
    chat.members[CHAT] = {"alice", "bob"}


def _cursor(chat_id: str, seq: int, **more: Any) -> dict[str, Any]:
    return {"chatId": chat_id, "seq": seq, **more}


def _seqs(client: Client, chat_id: str = CHAT) -> list[int]:
    return [message["seq"] for message in client.all("new-message") if message["chatId"] == chat_id]


async def test_what_was_missed_comes_as_live_frames_then_the_ack(edge: Edge, chat: ScaffoldChat) -> None:
    chat.store(CHAT, "bob", "one", "two", "three")
    log = chat.logs[CHAT]
    member = chat_pb2.Member(user_id="carol", role=chat_pb2.ROLE_MEMBER, joined_at_ms=1)
    for body in (
        {"members_added": MembersAdded(actor_id="bob", members=[member])},
        {},  # a void position
        {"member_removed": MemberRemoved(actor_id="bob", user_id="carol")},
    ):
        log.seq += 1
        log.entries.append(ChatEvent(chat_id=CHAT, epoch=1, seq=log.seq, number=3, **body))
    alice = await edge.client("alice")
    answer = await alice.ask("resume", chats=[_cursor(CHAT, 1, epoch=1)])
    came = [(frame["event"], frame["data"].get("seq")) for frame in alice.frames[1:]]
    assert came == [
        ("new-message", 2),
        ("new-message", 3),
        ("member-added", 4),
        ("member-removed", 6),
        ("ack", None),
    ]
    assert answer["data"] == {
        "chats": [
            {
                "chatId": CHAT,
                "seq": 6,
                "number": 3,
                "epoch": 1,
                "unread": 0,
                "complete": True,
                "reset": False,
            }
        ],
        "errors": [],
    }
    await chat.say(CHAT, "bob", "live")
    assert (await alice.next("new-message"))["data"]["seq"] == 7


async def test_what_is_said_while_the_log_is_read_follows_once(edge: Edge, chat: ScaffoldChat) -> None:
    chat.store(CHAT, "bob", "one")
    alice, bob = await edge.client("alice"), await edge.client("bob")
    gate = chat.gates["ReadLog"] = asyncio.Event()
    await alice.send("resume", "r", chats=[_cursor(CHAT, 0)])
    await asyncio.wait_for(chat.entered["ReadLog"].wait(), 30)
    await chat.say(CHAT, "bob", "two", "three")
    await eventually(lambda: len(bob.all("new-message")) == 2)
    assert alice.all("new-message") == []
    gate.set()
    await eventually(lambda: len(alice.all("new-message")) == 3)
    assert [frame["data"].get("seq") for frame in alice.frames[1:]] == [1, None, 2, 3]


async def test_resuming_again_and_again_during_a_storm_misses_nothing_and_repeats_nothing(
    edge: Edge, chat: ScaffoldChat
) -> None:
    over = asyncio.Event()

    async def storm() -> None:
        while not over.is_set():
            await chat.say(CHAT, "bob", *(["x" * 50] * 5))

    publishing = asyncio.create_task(storm())
    alice = await edge.client("alice")
    for turn in range(25):
        last = (_seqs(alice) or [0])[-1] if turn else 0
        at = len(alice.frames)
        answer = await alice.ask("resume", turn, chats=[_cursor(CHAT, max(0, last - 20), epoch=1)])
        await eventually(lambda: len(_seqs(alice)) > 20)
        before = alice.frames[: alice.frames.index(answer)]
        # After the frames that were on their way when the frame arrived, the cursor's next entry comes.
        seqs = [frame["data"]["seq"] for frame in before[at:] if frame["event"] == "new-message"]
        start = seqs.index(max(0, last - 20) + 1)
        assert seqs[start:] == list(range(seqs[start], answer["data"]["chats"][0]["seq"] + 1))
        after = alice.frames[alice.frames.index(answer) + 1 :]
        live = [frame["data"]["seq"] for frame in after if frame["event"] == "new-message"]
        head = answer["data"]["chats"][0]["seq"]
        assert live == list(range(head + 1, head + 1 + len(live)))
    over.set()
    await publishing
    assert alice.all("resync") == []


async def test_a_long_absence_comes_in_windows_and_then_in_turns(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_resume_entries=500)
    chat.store(CHAT, "bob", *map(str, range(1200)))
    alice = await edge.client("alice")
    seq = 0
    turns: list[tuple[int, int, bool]] = []
    while True:
        answer = await alice.ask("resume", f"r{len(turns)}", chats=[_cursor(CHAT, seq)])
        (told,) = answer["data"]["chats"]
        seq = told["seq"]
        turns.append((seq, told["number"], told["complete"]))
        if told["complete"]:
            break
    assert turns == [(500, 500, False), (1000, 1000, False), (1200, 1200, True)]
    assert _seqs(alice) == list(range(1, 1201))
    # Live was never lost: what follows comes whether or not the client goes on.
    await chat.say(CHAT, "bob", "live")
    assert (await alice.next(lambda frame: frame["data"].get("seq") == 1201))["event"] == "new-message"


async def test_more_than_the_buffer_holds_is_sent_at_the_clients_pace(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_max_buffer_bytes=128 * 1024)
    chat.store(CHAT, "bob", *["z" * 4000] * 1500)
    alice = await edge.client("alice")
    await alice.ask("resume", chats=[_cursor(CHAT, 0)])
    assert _seqs(alice) == list(range(1, 1501))
    assert alice.connection.close_code is None


async def test_cursors_fail_one_by_one(edge: Edge, chat: ScaffoldChat) -> None:
    chat.store(CHAT, "bob", "one")
    chat.logs[OTHER].epoch = 2
    chat.members[OTHER] = {"alice"}
    foreign = "f" * 24
    alice = await edge.client("alice")
    answer = await alice.ask(
        "resume", chats=[_cursor(foreign, 0), _cursor(CHAT, 99), _cursor(OTHER, 7, epoch=1)]
    )
    told = {head["chatId"]: head for head in answer["data"]["chats"]}
    assert (told[CHAT]["reset"], told[CHAT]["seq"], told[CHAT]["complete"]) == (True, 1, False)
    assert (told[OTHER]["reset"], told[OTHER]["epoch"]) == (True, 2)
    (error,) = answer["data"]["errors"]
    assert (error["chatId"], error["error"]["code"]) == (foreign, "NOT_A_MEMBER")
    assert alice.all("new-message") == []
    await chat.say(CHAT, "bob", "two")
    assert (await alice.next("new-message"))["data"]["seq"] == 2


@pytest.mark.parametrize(
    "chats",
    [
        [],
        [_cursor(CHAT, -1)],
        [_cursor(CHAT, 2**53 + 1)],
        [{"chatId": CHAT, "seq": 1.5}],
        [{"chatId": CHAT, "seq": "1"}],
        [{"chatId": CHAT}],
        [_cursor(CHAT, 1, epoch=-1)],
        [_cursor("nonsense", 1)],
        [_cursor(CHAT, 1), _cursor(CHAT, 2)],
        [_cursor(f"{number:024x}", 1) for number in range(1001)],
        "all",
    ],
)
async def test_what_is_no_cursor_is_refused(edge: Edge, chats: Any) -> None:
    edge.subprotocol = None  # most of it cannot be said in the binary form
    alice = await edge.client("alice")
    answer = await alice.ask("resume", chats=chats)
    assert (answer["event"], answer["data"]["code"]) == ("error", "INVALID_ARGUMENT")
    assert (await alice.ask("mark-chat-read", "still", chatId=CHAT))["event"] == "ack"


async def test_a_thousand_chats_fit_and_ten_thousand_do_not(edge: Edge, chat: ScaffoldChat) -> None:
    ids = [f"{number:024x}" for number in range(1000)]
    for chat_id in ids:
        chat.members[chat_id] = {"alice"}
        chat.store(chat_id, "bob", "missed")
    alice = await edge.client("alice")
    answer = await alice.ask("resume", chats=[_cursor(chat_id, 0, epoch=1) for chat_id in ids])
    assert len(answer["data"]["chats"]) == len(alice.all("new-message")) == 1000
    await alice.send("resume", 1, chats=[_cursor(f"{number:024x}", 1) for number in range(10_000)])
    assert await alice.close_code() == 1009


async def test_a_failing_log_leaves_everything_as_it_was(edge: Edge, chat: ScaffoldChat) -> None:
    alice = await edge.client("alice")
    chat.failures["ReadLog"] = unavailable("redis")
    gate = chat.gates["ReadLog"] = asyncio.Event()
    await alice.send("resume", "r", chats=[_cursor(CHAT, 0)])
    await asyncio.wait_for(chat.entered["ReadLog"].wait(), 30)
    await chat.say(CHAT, "bob", "held")
    gate.set()
    answer = await alice.next(lambda frame: frame.get("id") == "r")
    assert (answer["event"], answer["data"]["code"]) == ("error", "UNAVAILABLE")
    await chat.say(CHAT, "bob", "live")
    await eventually(lambda: _seqs(alice) == [1, 2])


async def test_one_who_is_removed_in_the_middle_sees_no_more(edge: Edge, chat: ScaffoldChat) -> None:
    alice = await edge.client("alice")
    chat.store(CHAT, "bob", "secret")
    gate = chat.gates["ReadLog"] = asyncio.Event()
    await alice.send("resume", "r", chats=[_cursor(CHAT, 0)])
    await asyncio.wait_for(chat.entered["ReadLog"].wait(), 30)
    await chat.remove(CHAT, "alice", actor="bob")
    await alice.next("member-removed")
    gate.set()
    answer = await alice.next(lambda frame: frame.get("id") == "r")
    assert [error["error"]["code"] for error in answer["data"]["errors"]] == ["NOT_A_MEMBER"]
    assert alice.all("new-message") == []


async def test_what_a_replay_brought_counts_as_delivered(edge: Edge, chat: ScaffoldChat) -> None:
    chat.store(CHAT, "bob", "one", "two")
    chat.store(CHAT, "alice", "own")
    alice = await edge.client("alice")
    await alice.ask("resume", chats=[_cursor(CHAT, 0)])
    await eventually(lambda: bool(chat.delivered))
    assert [(delivery.user_id, delivery.seq) for delivery in chat.delivered] == [("alice", 2)]
