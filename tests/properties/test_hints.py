"""Whoever obeys the hints of a rate limit is served, and all together at the full rate.

A simulation with a clock of its own: senders, a network that takes its time, and one bucket, or two in a row
as a frame meets them (those of the connection and of the user).
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.websocket.rate_limit import FrameBudget, Verdict
from mesh.token_bucket import MOST_WAIT_SECONDS, TokenBucket, hint_ms

_BUCKETS = st.builds(
    TokenBucket, per_second=st.sampled_from([0.5, 2.0, 20.0, 50.0]), burst=st.sampled_from([5, 10, 100])
)


@dataclass
class World:
    """Asks ``bucket`` at the time of each event; who is refused comes again when notified to."""

    bucket: TokenBucket
    random: random.Random
    latency: float  # seconds at most, each way
    now: float = 1_000.0
    events: list[tuple[float, int, int]] = field(default_factory=list)
    asked: int = 0
    served: list[tuple[float, int]] = field(default_factory=list)

    def come(self, who: int, at: float) -> None:
        """``who`` sends at that time; it arrives a little later."""
        self.asked += 1
        heapq.heappush(self.events, (at + self.random.uniform(0, self.latency), self.asked, who))

    def step(self) -> int | None:
        """One arrival; who was served by it, if anybody."""
        self.now, _, who = heapq.heappop(self.events)
        wait = self.bucket.take(self.now)
        if wait:
            self.come(who, self.now + self.random.uniform(0, self.latency) + hint_ms(wait) / 1_000)
            return None
        self.served.append((self.now, who))
        return who


@given(bucket=_BUCKETS, count=st.integers(1, 400), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_all_who_come_at_once_are_through_in_about_n_by_rate(
    bucket: TokenBucket, count: int, seed: int
) -> None:
    world = World(bucket, random.Random(seed), latency=0.2 / bucket.per_second)
    started = world.now
    for who in range(count):
        world.come(who, started)
    while world.events:
        world.step()
    assert Counter(who for _, who in world.served) == Counter(range(count))
    needed = max(0, count - bucket.burst) / bucket.per_second
    assert world.served[-1][0] - started <= 1.2 * needed + 10 / bucket.per_second
    # Few are refused more than once: whom the network made late, and whose turn is beyond the longest wait.
    assert world.asked <= count * (3.5 + 2 * needed / MOST_WAIT_SECONDS)


@given(bucket=_BUCKETS, senders=st.integers(1, 12), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_senders_with_one_message_under_way_each_all_get_on(
    bucket: TokenBucket, senders: int, seed: int
) -> None:
    world = World(bucket, random.Random(seed), latency=0.2 / bucket.per_second)
    ends = world.now + (bucket.burst + 40 * senders) / bucket.per_second
    served_at = dict.fromkeys(range(senders), world.now)
    longest = 0.0
    for who in range(senders):
        world.come(who, world.now)
    while world.events and world.now < ends:
        served = world.step()
        if served is not None:
            longest = max(longest, world.now - served_at[served])
            served_at[served] = world.now
            world.come(served, world.now + world.random.uniform(0, world.latency))
    assert min(served_at.values()) > ends - 8 * senders / bucket.per_second - 2
    assert longest <= (8 * senders + 2) / bucket.per_second
    assert len(world.served) >= 0.7 * (bucket.burst + 40 * senders)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 200))
@settings(max_examples=20, deadline=None)
def test_through_the_budget_of_a_connection_and_the_rate_of_its_user(seed: int, count: int) -> None:
    """As many messages at once as two bursts; each obeys whichever hint it gets."""
    rnd = random.Random(seed)
    frames, user = FrameBudget(per_second=50, burst=100), TokenBucket(per_second=50, burst=100)
    events = [(1_000.0 + rnd.uniform(0, 0.01), who) for who in range(count)]
    heapq.heapify(events)
    served, now = set[int](), 0.0
    while events:
        now, who = heapq.heappop(events)
        verdict = frames.take(now)
        assert verdict is not Verdict.FLOOD
        wait_ms = frames.retry_after_ms if verdict is Verdict.LIMITED else hint_ms(user.take(now + 0.002))
        if verdict is Verdict.ALLOWED and not wait_ms:
            served.add(who)
        else:
            heapq.heappush(events, (now + wait_ms / 1_000 + rnd.uniform(0, 0.01), who))
    assert served == set(range(count))
    assert now - 1_000.0 <= 2 * max(0, count - 100) / 50 + 1
