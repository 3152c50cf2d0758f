"""The checker: silent about a good run, and loud about each way in which a run can be bad."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chaos import records
from chaos.checker import check, figures, recoveries
from chaos.evidence import Change, ClientView, Evidence, Notified, Stores
from chaos.records import Record
from chaos.report import complaint, table
from chaos.view import Line

CHAT = "chat-1"
ALICE: dict[str, Any] = {"client": "alice.1", "user_id": "alice"}
BOB: dict[str, Any] = {"client": "bob.1", "user_id": "bob"}
EVE: dict[str, Any] = {"client": "eve.1", "user_id": "eve"}


def line(number: int, /, **other: Any) -> Line:
    fields: dict[str, Any] = {"seq": number, "number": number, "message_id": f"m{number}"}
    return Line(**{**fields, "sender_id": "alice", "key": f"k{number}", "content": "text", **other})


def sent(key: str, at: float = 1.0, attempt: int = 1) -> records.Sent:
    return records.Sent(**ALICE, at=at, edge="edge-a", chat_id=CHAT, key=key, attempt=attempt)


def acked(number: int, /, at: float = 1.1, **other: Any) -> records.Acked:
    position: dict[str, Any] = {"epoch": 1, "seq": number, "number": number}
    fields: dict[str, Any] = {"key": f"k{number}", "message_id": f"m{number}"}
    fields |= {"duplicate": False, **position, **other}
    return records.Acked(**ALICE, at=at, edge="edge-a", chat_id=CHAT, **fields)


def saw(number: int, /, who: Mapping[str, Any] = BOB, at: float = 1.2, **other: Any) -> records.Saw:
    fields: dict[str, Any] = {"epoch": 1, "seq": number, "message_id": f"m{number}", "connection": 1}
    return records.Saw(**who, at=at, chat_id=CHAT, **{"event": "new-message", **fields, **other})


def receipt(seq: int) -> records.Saw:
    return saw(seq, event="chat-read", epoch=0, message_id="", reader_id="alice")


def began(fault: str, target: str, number: int = 1) -> records.FaultBegan:
    return records.FaultBegan(at=1.0, number=number, fault=fault, target=target, text=f"{fault} {target}")


def membership(*, adds: bool, at: float, done: bool, member: str = "bob") -> Record:
    kind = records.MembershipDone if done else records.MembershipAsked
    return kind(**ALICE, at=at, chat_id=CHAT, member_id=member, adds=adds)


LINES = (line(1), line(2), line(3))
STORES = Stores(
    messages={CHAT: LINES},
    members={CHAT: {"alice": 3, "bob": 2, "zoe": 0}},
    ledger=[Notified("zoe", ("m1", "m2"), "sent"), Notified("zoe", ("m3",), "sent")],
    shown=Counter([("zoe", "m2"), ("zoe", "m3")]),
)
GOOD = Evidence(
    records=[
        record
        for seq in (1, 2, 3)
        for record in (sent(f"k{seq}"), acked(seq), saw(seq), saw(seq, who=ALICE), receipt(seq))
    ],
    stores=STORES,
    views={
        "alice.1": ClientView("alice", {CHAT: LINES}),
        "bob.1": ClientView("bob", {CHAT: LINES}),
        "eve.1": ClientView("eve", {}),
    },
    absent=("zoe",),
)


def with_records(*more: Record, first: Sequence[Record] = GOOD.records) -> Evidence:
    return replace(GOOD, records=[*first, *more])


def with_stores(**changes: Any) -> Evidence:
    return replace(GOOD, stores=replace(STORES, **changes))


def rules(evidence: Evidence) -> set[str]:
    return {violation.rule for violation in check(evidence)}


def test_a_good_run_breaks_no_rule() -> None:
    assert check(GOOD) == []


NO_SECOND = {CHAT: (LINES[0], LINES[2])}
BROKEN: list[tuple[str, Evidence]] = [
    ("no load", replace(GOOD, records=[])),
    ("lost", with_stores(messages={CHAT: LINES[:2]})),
    ("lost", with_records(sent("k9"), acked(9))),
    ("lost", with_records(sent("k9"), acked(9, key="k3", message_id="other"))),
    ("misplaced", with_records(acked(3, seq=4))),
    ("two answers", with_records(acked(3, message_id="m2", seq=2, number=2))),
    ("no answer", with_records(sent("k9"))),
    ("stored twice", with_stores(messages={CHAT: (*LINES, line(3, key="k4", message_id="m4"))})),
    ("stored twice", with_stores(messages={CHAT: (*LINES, line(4, key="k3", message_id="m4"))})),
    ("stored twice", with_stores(changes={CHAT: (Change(seq=3),)})),
    ("gap", with_stores(messages=NO_SECOND)),
    ("gap", with_stores(messages={CHAT: (*LINES, line(5))})),
    ("gap", with_stores(messages={CHAT: LINES[1:]})),
    ("gap", with_stores(messages={CHAT: (*LINES, line(2**20 + 4), line(2**20 + 6))})),
    ("misnumbered", with_stores(messages={CHAT: (*LINES[:2], line(3, number=4))})),
    ("phantom", with_records(saw(4))),
    ("moved", with_records(saw(4, message_id="m3"))),
    ("view differs", replace(GOOD, views={"bob.1": ClientView("bob", NO_SECOND)})),
    ("view differs", replace(GOOD, views={"bob.1": ClientView("bob", {CHAT: (*LINES, line(4))})})),
    ("view differs", replace(GOOD, views={"bob.1": ClientView("bob", {CHAT: LINES[::-1]})})),
    (
        "view differs",
        replace(GOOD, views={"bob.1": ClientView("bob", {CHAT: (*LINES[:2], line(3, content="?"))})}),
    ),
    ("wrong chats", replace(GOOD, views={"bob.1": ClientView("bob", {})})),
    ("wrong chats", replace(GOOD, views={"eve.1": ClientView("eve", {CHAT: LINES})})),
    ("delivered twice", with_records(saw(3))),
    ("out of order", with_records(saw(2))),
    ("foreign", with_records(saw(3, who=EVE))),
    ("foreign", with_records(saw(0, who=EVE, event="user-typing", epoch=0, message_id=""))),
    ("pointer went back", with_records(receipt(1))),
    ("pointer lost", with_records(records.Read(**BOB, at=2.0, chat_id=CHAT, seq=3))),
    ("notification lost", with_stores(ledger=STORES.ledger[1:])),
    ("notification lost", with_stores(shown=Counter())),
    ("ledger doubled", with_stores(ledger=[*STORES.ledger, STORES.ledger[0]])),
    ("notification lost", with_stores(ledger=[*STORES.ledger[1:], Notified("zoe", ("m1", "m2"), "delayed")])),
    ("told twice", with_stores(ledger=[*STORES.ledger, Notified("zoe", ("m2", "m3"), "sent")])),
    ("notification doubled", with_stores(shown=STORES.shown + Counter([("zoe", "m2")]))),
    ("notification repeated", with_stores(shown=STORES.shown + Counter([("zoe", "m2")] * 2))),
]


@pytest.mark.parametrize(("rule", "evidence"), BROKEN)
def test_each_broken_promise_is_found(rule: str, evidence: Evidence) -> None:
    assert rule in rules(evidence)


class TestRemoval:
    """Bob is removed at 2 in the log, at 5.0 by the clock, and perhaps added again."""

    REMOVED = (membership(adds=False, at=4.9, done=False), membership(adds=False, at=5.0, done=True))

    @staticmethod
    def evidence(*more: Record, added_again: tuple[Change, ...] = ()) -> Evidence:
        return replace(
            GOOD,
            records=[sent("k1"), acked(1), saw(1, at=4.0), *more],
            stores=Stores(
                messages={CHAT: (line(1), line(3, number=2))},
                changes={CHAT: (Change(2, removed="bob"), *added_again)},
                members={CHAT: {"alice": 0, **({"bob": 0} if added_again else {})}},
            ),
            views={},
            absent=(),
        )

    def test_what_came_before_is_fine(self) -> None:
        assert rules(self.evidence(*self.REMOVED)) == set()

    def test_an_entry_behind_the_removal_in_the_log_is_foreign_at_once(self) -> None:
        assert rules(self.evidence(*self.REMOVED, saw(3, at=5.1))) == {"foreign"}

    def test_an_entry_before_it_in_the_log_may_come_late_from_an_edge_that_was_frozen(self) -> None:
        assert rules(self.evidence(*self.REMOVED, saw(1, at=12.0, who={**BOB, "client": "bob.2"}))) == set()

    def test_anything_a_second_after_the_answer_is_foreign(self) -> None:
        typing = saw(0, at=6.1, event="user-typing", epoch=0, message_id="")
        assert rules(self.evidence(*self.REMOVED, typing)) == {"foreign"}

    def test_what_comes_after_being_added_again_is_fine(self) -> None:
        again = membership(adds=True, at=5.5, done=False)
        for at in (5.6, 6.2, 7.0):
            assert rules(self.evidence(*self.REMOVED, again, saw(3, at=at))) == set()

    def test_the_store_and_the_log_must_know_of_it(self) -> None:
        again = membership(adds=True, at=5.5, done=True)
        assert rules(self.evidence(*self.REMOVED, again)) == {"membership differs", "change not logged"}
        logged = (Change(4, added=("bob",)),)
        assert rules(self.evidence(*self.REMOVED, again, added_again=logged)) == set()
        assert rules(self.evidence(*self.REMOVED, added_again=logged)) == {
            "membership differs",
            "change not logged",
        }


def test_leaving_delivery_must_end_it() -> None:
    away = records.Away(**BOB, at=2.0, connection=1, chat_id=CHAT, away=True)
    back = records.Away(**BOB, at=2.5, connection=1, chat_id=CHAT, away=False)
    typing = saw(0, event="user-typing", epoch=0, message_id="")
    assert rules(with_records(away, typing)) == {"not left"}
    assert rules(with_records(away, back, typing)) == set()


class TestWhatALostRedisExcuses:
    LOST = (began("lose", "redis"), records.FaultEnded(at=2.0, number=1))

    def test_a_message_that_was_shown_but_acked_to_nobody(self) -> None:
        assert rules(with_records(*self.LOST, saw(4))) == set()

    def test_but_never_one_that_was_acked(self) -> None:
        assert "phantom" in rules(with_records(*self.LOST, sent("k4"), acked(4), saw(4)))

    def test_a_hole_in_the_epoch_that_it_ended_and_none_in_the_next(self) -> None:
        later = 2**20 + 4
        for lines, broken in (
            ((line(1), line(2), line(3), line(5), line(later)), False),
            ((line(1), line(2), line(3), line(later), line(later + 2)), True),
        ):
            stores = replace(STORES, messages={CHAT: lines})
            evidence = replace(with_records(*self.LOST), stores=stores)
            assert ("gap" in rules(evidence)) is broken

    def test_a_chat_that_began_after_the_loss(self) -> None:
        lines = tuple(line(2**20 + n, number=n, message_id=f"m{n}", key=f"k{n}") for n in (1, 2, 3))
        assert "gap" not in rules(replace(with_records(*self.LOST), stores=Stores(messages={CHAT: lines})))
        assert "gap" in rules(with_stores(messages={CHAT: lines}))

    def test_pointers_that_begin_again(self) -> None:
        assert rules(with_records(*self.LOST, receipt(1))) == set()
        assert rules(with_records(*self.LOST, receipt(3), receipt(1))) == {"pointer went back"}


def test_a_death_of_notify_service_excuses_one_repeat_but_no_loss() -> None:
    killed = began("kill", "notify")
    twice = replace(with_records(killed), stores=replace(STORES, shown=STORES.shown + STORES.shown))
    assert rules(twice) == set()
    three = replace(STORES, shown=STORES.shown + STORES.shown + STORES.shown)
    assert rules(replace(with_records(killed), stores=three)) == {"notification repeated"}
    lost = replace(with_records(killed), stores=replace(STORES, ledger=()))
    assert rules(lost) == {"notification lost"}


def test_recovery_is_how_long_the_last_message_that_a_fault_caught_waited_after_its_end() -> None:
    log: list[Record] = [sent("k1", at=1.5), began("kill", "chat"), sent("k2", at=2.0), acked(1, at=2.2)]
    log += [sent("k2", at=2.5, attempt=2), records.FaultEnded(at=3.0, number=1), acked(2, at=3.75)]
    log += [sent("k3", at=4.0), acked(3, at=9.0), sent("k1", at=9.1), acked(1, at=9.2, duplicate=True)]
    (recovery,) = recoveries(replace(GOOD, records=log))
    assert (recovery.lasted, recovery.took, recovery.caught) == (2.0, 0.75, 1)


def test_the_table_and_the_complaint_say_what_happened() -> None:
    evidence = with_stores(messages={CHAT: LINES[:2]})
    violations = check(evidence)
    counts = figures(evidence, violations)
    assert (counts.acked, counts.stored, counts.lost) == (3, 2, 1)
    assert counts.delivered == 6  # alice's and bob's three each, live and in their views
    text = table(counts, recoveries(with_records(began("kill", "chat"), records.FaultEnded(at=2, number=1))))
    assert "kill chat" in text
    assert "acked             3" in text
    told = complaint(violations, seed=17, seconds=60)
    assert "VIOLATED lost: 1" in told
    assert "SECONDS=60 SEED=17" in told


def resuming(epoch: int, seq: int) -> records.Resuming:
    return records.Resuming(**BOB, at=1.2, connection=1, chat_id=CHAT, epoch=epoch, seq=seq)


def test_a_client_that_resumes_may_get_again_what_follows_its_cursor_once() -> None:
    assert rules(with_records(resuming(1, 1), saw(2), saw(3))) == set()
    assert rules(with_records(resuming(1, 2), saw(2), saw(3))) == {"out of order", "delivered twice"}
    assert rules(with_records(resuming(1, 1), saw(3), saw(2))) == {"out of order"}
    assert rules(with_records(resuming(1, 1), saw(2), saw(2))) == {"delivered twice"}


def test_views_hold_the_changes_that_came_over_the_log_but_for_void_places() -> None:
    changed = with_stores(changes={CHAT: (Change(4), Change(5, void=True), Change(6))})

    def viewed(changes: Sequence[int], reloaded: int = 0) -> set[str]:
        view = ClientView("bob", {CHAT: LINES}, {CHAT: changes}, {CHAT: reloaded})
        return rules(replace(changed, views={"bob.1": view}))

    assert viewed([4, 6]) == set()
    assert viewed([4]) == {"view differs"}
    assert viewed([4, 5, 6]) == {"view differs"}
    assert viewed([6], reloaded=4) == set()
    assert viewed([4], reloaded=4) == {"view differs"}


@pytest.mark.parametrize(("code", "broken"), [("NOT_A_MEMBER", False), ("INTERNAL", True)])
def test_a_message_is_given_up_by_those_who_are_out_alone(code: str, *, broken: bool) -> None:
    refused = records.Refused(**ALICE, at=2.0, event="send-message", code=code, edge="edge-a")
    dropped = records.Dropped(**ALICE, at=2.0, chat_id=CHAT, key="k9")
    assert ("given up" in rules(with_records(sent("k9"), refused, dropped))) is broken
