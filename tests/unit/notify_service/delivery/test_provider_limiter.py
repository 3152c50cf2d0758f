"""Slots, rates and breakers of providers, by a clock that the tests set."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mesh.breaker import State
from notify_service.delivery.provider_limiter import (
    MAX_PAUSE_SECONDS,
    Limits,
    ProviderLimiter,
    Scope,
    Ticket,
    Verdict,
)

LIMITS = Limits(
    concurrency=8,
    rate=1000.0,
    shared=6,
    unearned=2,
    answers_per_slot=4,
    total=20,
    threshold=3,
    probe_seconds=2.0,
)
ALL_SLOTS = LIMITS.concurrency * LIMITS.answers_per_slot
"""Answers after which a provider has earned all its slots."""


def take_all(limiter: ProviderLimiter, provider: str, now_ms: int) -> list[Ticket]:
    """All that the provider has room for."""
    return list(iter(lambda: limiter.take(provider, now_ms), None))


def answer(limiter: ProviderLimiter, provider: str, now_ms: int = 0, times: int = 1) -> None:
    """Lets the provider answer, one attempt after the other."""
    for _ in range(times):
        ticket = limiter.take(provider, now_ms)
        assert ticket
        limiter.end(ticket, Verdict.ANSWERED, now_ms)


def slots(limiter: ProviderLimiter, provider: str) -> int:
    """How many attempts it has room for."""
    tickets = take_all(limiter, provider, 0)
    for ticket in tickets:
        limiter.give_back(ticket, 0)
    return len(tickets)


def fail(limiter: ProviderLimiter, provider: str, now_ms: int, times: int = 1, pause: float = 0) -> None:
    """Lets the provider not answer."""
    for _ in range(times):
        ticket = limiter.take(provider, now_ms)
        assert ticket, "no room"
        limiter.end(ticket, Verdict.DOWN, now_ms, pause)


def test_a_provider_earns_its_slots_by_answers_and_loses_half_by_a_failure() -> None:
    limiter = ProviderLimiter(LIMITS)
    assert slots(limiter, "host") == LIMITS.unearned
    answer(limiter, "host")
    assert slots(limiter, "host") == LIMITS.unearned, "one answer is soon given"
    answer(limiter, "host", times=LIMITS.answers_per_slot)
    assert slots(limiter, "host") == LIMITS.unearned + 1
    answer(limiter, "host", times=ALL_SLOTS)
    assert slots(limiter, "host") == LIMITS.concurrency
    fail(limiter, "host", 0)
    assert slots(limiter, "host") == LIMITS.concurrency // 2 + LIMITS.unearned
    fail(limiter, "host", 0)
    assert slots(limiter, "host") == LIMITS.concurrency // 4 + LIMITS.unearned


def test_who_takes_his_time_loses_what_was_earned() -> None:
    limiter = ProviderLimiter(replace(LIMITS, named={"fcm"}))
    for name, left in (("host", LIMITS.unearned), ("fcm", LIMITS.concurrency)):
        answer(limiter, name, times=ALL_SLOTS)
        now_ms = 0
        for _ in range(ALL_SLOTS):
            ticket = limiter.take(name, now_ms)
            assert ticket
            now_ms += 2_001
            limiter.end(ticket, Verdict.ANSWERED, now_ms)
        assert slots(limiter, name) == left


def test_hosts_that_answer_once_and_then_hang_keep_nobody_waiting() -> None:
    limiter = ProviderLimiter(replace(LIMITS, named={"fcm"}))
    answer(limiter, "web-push:good", times=ALL_SLOTS)
    for host in range(1_000):
        answer(limiter, f"web-push:{host}")
    hanging = [ticket for host in range(1_000) for ticket in take_all(limiter, f"web-push:{host}", 0)]
    assert len(hanging) == LIMITS.shared
    assert len(take_all(limiter, "web-push:good", 0)) == LIMITS.concurrency
    assert len(take_all(limiter, "fcm", 0)) == LIMITS.unearned


def test_a_host_that_hangs_with_all_it_earned_uses_up_no_more_than_that() -> None:
    limiter = ProviderLimiter(LIMITS)
    answer(limiter, "web-push:bad", times=ALL_SLOTS)
    hanging = take_all(limiter, "web-push:bad", 0)
    for ticket in hanging[:2]:
        limiter.end(ticket, Verdict.DOWN, 0)
    assert limiter.take("web-push:bad", 0) is None, "six hang, two are earned and two may be shared"
    assert len(take_all(limiter, "web-push:another", 0)) == LIMITS.unearned
    assert limiter.take("web-push:third", 0) is None
    for ticket in hanging[2:]:
        limiter.end(ticket, Verdict.DOWN, 0)
    assert limiter.take("web-push:third", 0), "what was shared is given back"


def test_hosts_that_hang_keep_no_provider_of_the_settings_waiting() -> None:
    """After a restart nobody has answered yet."""
    limiter = ProviderLimiter(replace(LIMITS, named={"fcm", "apns"}))
    for host in range(10):
        take_all(limiter, f"web-push:{host}", 0)
    scope = limiter.scope(0)
    assert scope is not None
    assert set(scope.only or ()) == {"fcm", "apns"}
    assert limiter.room(0) == 2 * LIMITS.unearned
    [first, *others] = take_all(limiter, "fcm", 0)
    assert 1 + len(others) == LIMITS.unearned
    for ticket in (first, *others):
        limiter.end(ticket, Verdict.DOWN, 0)
    assert limiter.take("web-push:another", 0) is None, "they count against nobody"
    answer(limiter, "apns", times=ALL_SLOTS)
    assert len(take_all(limiter, "apns", 0)) == LIMITS.concurrency


def test_what_is_shared_is_shared_and_what_is_earned_is_not() -> None:
    limiter = ProviderLimiter(LIMITS)
    answer(limiter, "web-push:good", times=ALL_SLOTS)
    taken = [ticket for host in range(10) for ticket in take_all(limiter, f"web-push:{host}", 0)]
    assert len(taken) == LIMITS.shared
    scope = limiter.scope(0)
    assert scope is not None
    assert scope.only == ["web-push:good"], "nobody else is worth claiming for"
    assert limiter.room(0) == LIMITS.concurrency
    assert len(take_all(limiter, "web-push:good", 0)) == LIMITS.concurrency
    assert limiter.scope(0) is None
    limiter.end(taken[0], Verdict.ANSWERED, 0)
    scope = limiter.scope(0)
    assert scope is not None
    assert scope.only is None, "the slot is free for anybody"
    assert "web-push:good" in scope.without


def test_the_order_and_the_place_to_go_on_are_passed_on() -> None:
    limiter = ProviderLimiter(replace(LIMITS, named={"fcm"}))
    assert limiter.scope(0, "b") == Scope(None, [], "b")
    assert limiter.scope(0, newest_first=True) == Scope(None, [], "", newest_first=True)
    for host in range(10):
        take_all(limiter, f"web-push:{host}", 0)
    assert limiter.scope(0, newest_first=True) == Scope(["fcm"], newest_first=True)


def test_all_together_have_an_upper_limit_but_for_those_of_the_settings() -> None:
    limiter = ProviderLimiter(replace(LIMITS, named={"fcm"}))
    for name in ("a", "b", "c"):
        answer(limiter, name, times=ALL_SLOTS)
    assert sum(len(take_all(limiter, name, 0)) for name in ("a", "b", "c")) == LIMITS.total
    assert limiter.scope(0) == Scope(["fcm"])
    assert limiter.room(0) == len(take_all(limiter, "fcm", 0)) == LIMITS.unearned
    assert limiter.scope(0) is None


def test_the_rate_holds_after_a_second_s_worth() -> None:
    limiter = ProviderLimiter(replace(LIMITS, rate=10.0))
    begun: list[int] = []
    for now_ms in range(0, 10_000, 10):
        while (ticket := limiter.take("fcm", now_ms)) is not None:
            limiter.end(ticket, Verdict.ANSWERED, now_ms)
            begun.append(now_ms)
    assert 105 <= len(begun) <= 110
    assert begun.count(0) == 10


def test_where_the_rate_is_the_limit_some_begin_together() -> None:
    limiter = ProviderLimiter(replace(LIMITS, rate=200.0, concurrency=100, total=1000))
    answer(limiter, "fcm", times=200)
    sizes = [len(take_all(limiter, "fcm", now_ms)) for now_ms in range(0, 300, 5)]
    assert {size for size in sizes if size} == {10}


def test_the_clock_may_be_set_back() -> None:
    limiter = ProviderLimiter(replace(LIMITS, rate=2.0))
    answer(limiter, "fcm", 1_000_000, times=2)
    assert limiter.take("fcm", 1_000_000) is None
    assert limiter.take("fcm", 0) is None
    assert limiter.take("fcm", 1_000) is not None


def test_failures_in_a_row_open_the_breaker_and_one_probe_closes_it() -> None:
    changes: list[tuple[str, State]] = []
    limiter = ProviderLimiter(LIMITS, lambda provider, state: changes.append((provider, state)))
    fail(limiter, "fcm", 0, LIMITS.threshold)
    assert changes == [("fcm", State.OPEN)]
    assert limiter.take("fcm", 400) is None
    probe = limiter.take("fcm", 2_001)
    assert probe is not None
    assert probe.probe
    assert limiter.take("fcm", 2_001) is None, "one at a time"
    limiter.end(probe, Verdict.ANSWERED, 2_100)
    assert changes[1:] == [("fcm", State.CLOSED)]
    assert len(take_all(limiter, "fcm", 2_100)) == LIMITS.unearned


def test_probes_come_ever_later_up_to_a_minute() -> None:
    limiter = ProviderLimiter(LIMITS)
    fail(limiter, "fcm", 0, LIMITS.threshold)
    now_ms, waits = 0, []
    for _ in range(40):
        before = now_ms
        while (probe := limiter.take("fcm", now_ms)) is None:
            now_ms += 100
        waits.append(now_ms - before)
        limiter.end(probe, Verdict.DOWN, now_ms)
    assert min(waits) >= 500
    assert 10_000 < max(waits) <= 60_100
    assert now_ms > 10 * 60_000, "an hour of outage costs tens of probes, not thousands"


def test_an_answer_in_between_starts_the_count_again() -> None:
    limiter = ProviderLimiter(LIMITS)
    for _ in range(5):
        fail(limiter, "fcm", 0, LIMITS.threshold - 1)
        answer(limiter, "fcm")
    assert limiter.take("fcm", 0) is not None


def test_failures_of_attempts_from_before_it_opened_say_nothing_about_now() -> None:
    limiter = ProviderLimiter(LIMITS)
    answer(limiter, "fcm", times=ALL_SLOTS)
    tickets = take_all(limiter, "fcm", 0)
    for ticket in tickets[: LIMITS.threshold]:
        limiter.end(ticket, Verdict.DOWN, 0)
    probe = limiter.take("fcm", 2_001)
    assert probe is not None
    for ticket in tickets[LIMITS.threshold :]:
        limiter.end(ticket, Verdict.DOWN, 2_001)
    limiter.end(probe, Verdict.ANSWERED, 2_002)
    assert limiter.take("fcm", 2_002) is not None


def test_a_pause_that_a_provider_asks_for_is_kept_and_not_for_ever() -> None:
    limiter = ProviderLimiter(LIMITS)
    fail(limiter, "fcm", 0, pause=30)
    assert limiter.take("fcm", 29_999) is None
    fail(limiter, "fcm", 30_000, pause=10**9)
    limit_ms = round(MAX_PAUSE_SECONDS * 1000)
    assert limiter.take("fcm", 30_000 + limit_ms - 1) is None
    assert limiter.take("fcm", 30_000 + limit_ms) is not None


def test_a_probe_that_was_not_made_leaves_room_for_another() -> None:
    limiter = ProviderLimiter(LIMITS)
    fail(limiter, "fcm", 0, LIMITS.threshold)
    probe = limiter.take("fcm", 2_001)
    assert probe is not None
    limiter.give_back(probe, 2_001)
    assert limiter.take("fcm", 2_001) is not None


def test_what_was_not_used_for_long_is_forgotten() -> None:
    limiter = ProviderLimiter(LIMITS)
    answer(limiter, "old")
    held = limiter.take("busy", 0)
    for host in range(1_100):
        answer(limiter, f"web-push:{host}", 1 + host)
    limiter.forget_idle(2_000)
    assert len(limiter._providers) == 1_000
    assert "old" not in limiter._providers
    limiter.forget_idle(1_000_000)
    assert list(limiter._providers) == ["busy"]
    assert held is not None
    limiter.end(held, Verdict.ANSWERED, 1_000_000)


class Providers(RuleBasedStateMachine):
    """Whatever happens in whatever order, no limit is broken and nobody is locked out for good."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = ProviderLimiter(replace(LIMITS, answers_per_slot=1, named={"a", "b"}))
        self.now_ms = 0
        self.tickets: list[Ticket] = []

    @rule(provider=st.sampled_from("abcdefgh"))
    def begin(self, provider: str) -> None:
        ticket = self.limiter.take(provider, self.now_ms)
        if ticket:
            self.tickets.append(ticket)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), verdict=st.sampled_from(Verdict), pause=st.sampled_from([0.0, 5.0]))
    def end(self, data: st.DataObject, verdict: Verdict, pause: float) -> None:
        ticket = self.tickets.pop(data.draw(st.integers(0, len(self.tickets) - 1)))
        self.limiter.end(ticket, verdict, self.now_ms, pause if verdict is Verdict.DOWN else 0)

    @precondition(lambda self: self.tickets)
    @rule()
    def give_back(self) -> None:
        self.limiter.give_back(self.tickets.pop(), self.now_ms)

    @rule(seconds=st.sampled_from([0.01, 1.0, 60.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        self.limiter.forget_idle(self.now_ms)

    @invariant()
    def limits_hold(self) -> None:
        under_way = Counter(ticket.provider for ticket in self.tickets)
        assert under_way == +Counter({name: gate.in_flight for name, gate in self.limiter._providers.items()})
        assert all(count <= LIMITS.concurrency for count in under_way.values())
        others = under_way.total() - under_way["a"] - under_way["b"]
        assert others == self.limiter._in_flight <= LIMITS.total
        unearned = sum(gate.unearned for gate in self.limiter._providers.values())
        assert unearned == self.limiter._unearned

    def teardown(self) -> None:
        for ticket in self.tickets:
            self.limiter.end(ticket, Verdict.UNKNOWN, self.now_ms)
        self.now_ms += 601_000
        for provider in "abcdefgh":
            answer(self.limiter, provider, self.now_ms)


Providers.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestProviders = Providers.TestCase
