"""What an attempt ends with, whatever its handler does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from mesh.errors import Internal, unavailable
from notify_service.delivery.attempt import MAX_DEFECTS, Result, give_up, make_attempt
from notify_service.delivery.provider_limiter import Verdict
from notify_service.domain.delivery import AttemptOutcome, Delivery, Lane, NewDelivery
from notify_service.ports import NotAskedError, SendDelayedError, SendRefusedError, TargetGoneError
from parley.common.v1.error_pb2 import ErrorReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from notify_service.domain.delivery import Attempt

NOW = 1_000_000


class DeliveryHandler:
    """Does one thing."""

    def __init__(self, does: BaseException | str | None) -> None:
        self._does = does

    async def deliver(self, delivery: Delivery) -> str:  # noqa: ARG002
        if isinstance(self._does, BaseException):
            raise self._does
        if self._does is None:
            await asyncio.Event().wait()
        return str(self._does)

    async def conclude(self, attempts: Sequence[Attempt]) -> None:
        raise AssertionError(attempts)


def delivery(attempt: int = 1, seconds: float = 86_400, last_detail: str = "") -> Delivery:
    what = NewDelivery("key", Lane.DEVICE, "web-push:host", "d", b"", NOW, NOW + round(seconds * 1000), "bob")
    return Delivery("5" * 24, attempt, what, last_detail)


async def attempt(does: BaseException | str | None, of: Delivery | None = None) -> Result:
    return await make_attempt(DeliveryHandler(does), of or delivery(), 0.02, lambda: NOW)


@pytest.mark.parametrize(
    ("does", "outcome", "words", "verdict"),
    [
        ("receipt", AttemptOutcome.SENT, "receipt", Verdict.ANSWERED),
        ("", AttemptOutcome.SENT, "", Verdict.ANSWERED),
        (SendRefusedError("too large"), AttemptOutcome.FAILED, "too large", Verdict.ANSWERED),
        (NotAskedError("no keys"), AttemptOutcome.FAILED, "no keys", Verdict.UNKNOWN),
        (TargetGoneError("410"), AttemptOutcome.GONE, "410", Verdict.ANSWERED),
        (SendDelayedError("503"), AttemptOutcome.DELAYED, "503", Verdict.DOWN),
        (
            SendDelayedError("429", provider_down=False),
            AttemptOutcome.DELAYED,
            "429",
            Verdict.ANSWERED,
        ),
        (None, AttemptOutcome.DELAYED, "no answer in 0.02 s", Verdict.DOWN),
        (TimeoutError("a library's"), AttemptOutcome.DELAYED, "no answer in 0.02 s", Verdict.DOWN),
        (KeyError("x"), AttemptOutcome.DELAYED, "a defect of this service: KeyError", Verdict.UNKNOWN),
        (
            asyncio.CancelledError(),
            AttemptOutcome.DELAYED,
            "a defect of this service: CancelledError",
            Verdict.UNKNOWN,
        ),
        (
            Internal(ErrorReason.ERROR_REASON_INTERNAL, "x"),
            AttemptOutcome.DELAYED,
            "a defect of this service: Internal",
            Verdict.UNKNOWN,
        ),
    ],
)
async def test_every_end_has_its_outcome(
    does: BaseException | str | None, outcome: AttemptOutcome, words: str, verdict: Verdict
) -> None:
    result = await attempt(does)
    assert result.attempt is not None
    assert (result.attempt.outcome, result.attempt.detail, result.verdict) == (outcome, words, verdict)
    assert (result.attempt.next_at_ms > NOW) == (outcome is AttemptOutcome.DELAYED)
    assert result.pause_seconds == 0


async def test_without_a_store_no_attempt_was_made() -> None:
    assert await attempt(unavailable("mongodb")) == Result(None, Verdict.UNKNOWN)


async def test_a_provider_s_wish_is_passed_on_where_it_is_the_provider_s() -> None:
    result = await attempt(SendDelayedError("503", retry_after_seconds=90))
    assert result.pause_seconds == 90
    own = await attempt(SendDelayedError("429", retry_after_seconds=90, provider_down=False))
    assert own.pause_seconds == 0
    assert own.attempt is not None
    assert own.attempt.next_at_ms >= NOW + 90_000


async def test_the_last_of_its_time_is_given_up_with_the_provider_s_words() -> None:
    result = await attempt(SendDelayedError("503"), delivery(attempt=3, seconds=0.4))
    assert result.attempt is not None
    assert result.attempt.outcome is AttemptOutcome.FAILED
    assert result.attempt.detail == "given up after 3 attempts: 503"


async def test_a_defect_is_not_tried_for_ever() -> None:
    result = await attempt(KeyError("x"), delivery(attempt=MAX_DEFECTS))
    assert result.attempt is not None
    assert result.attempt.outcome is AttemptOutcome.FAILED


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("one\r\ntwo\tthree\x00\x1b[31m", "one two three [31m"),
        ("half \ud83d of one", "half ? of one"),
        ("x" * 10_000, "x" * 500),
        ("  grüße 😀 ", "grüße 😀"),
    ],
)
async def test_words_are_made_fit_to_be_stored_and_shown(said: str, kept: str) -> None:
    for does in (SendRefusedError(said), said):
        result = await attempt(does)
        assert result.attempt is not None
        assert result.attempt.detail == kept


def test_what_ran_out_of_time_says_what_was_last_heard() -> None:
    assert give_up(delivery(attempt=1, last_detail="503"), NOW).detail == "given up after 1 attempt: 503"
    untried = give_up(delivery(attempt=0), NOW)
    assert untried.detail == "given up: its time was over before an attempt could be made"


async def test_its_own_cancellation_ends_it() -> None:
    task = asyncio.create_task(make_attempt(DeliveryHandler(None), delivery(), 30, lambda: NOW))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
