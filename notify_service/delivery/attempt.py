"""One attempt at a delivery: whatever a handler does, it ends in time and with a plain answer."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from contract.text import one_line
from mesh import tracing
from mesh.cancellation import is_cancelled
from mesh.errors import Unavailable
from mesh.logs import get_logger
from notify_service.delivery.provider_limiter import Verdict
from notify_service.delivery.retry import next_attempt, polite_seconds
from notify_service.domain.delivery import Attempt, AttemptOutcome, Delivery
from notify_service.domain.ledger import cut_detail
from notify_service.metrics import SEND_SECONDS
from notify_service.ports import (
    DeliveryHandler,
    NotAskedError,
    NotWantedError,
    SendDelayedError,
    SendError,
    SendRefusedError,
    TargetGoneError,
)

MAX_DEFECTS: Final = 5
"""An attempt with this number or a later one that ends in a defect is the last."""

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    attempt: Attempt | None
    """None when no attempt could be made."""
    verdict: Verdict
    pause_seconds: float = 0.0
    """The pause that the provider asked for as a whole."""


async def make_attempt(
    handler: DeliveryHandler, delivery: Delivery, seconds: float, clock: Callable[[], int]
) -> Result:
    """Lets the handler try, for so many seconds at most. Raises nothing but the task's own cancellation."""
    span = _begin_span(delivery) if tracing.on() and delivery.what.traceparent else None
    with tracing.within(span):
        result = await _try(handler, delivery, seconds, clock)
        if span is not None:
            _annotate(span, result)
    return result


async def _try(
    handler: DeliveryHandler, delivery: Delivery, seconds: float, clock: Callable[[], int]
) -> Result:
    try:
        with SEND_SECONDS.labels(kind_of(delivery)).time():
            async with asyncio.timeout(seconds):
                receipt = await handler.deliver(delivery)
    except (SendError, TimeoutError) as error:
        detail = f"no answer in {seconds:g} s" if isinstance(error, TimeoutError) else str(error)
        return _not_taken(delivery, error, _plain(detail), clock())
    except Unavailable:
        return Result(None, Verdict.UNKNOWN)
    except (Exception, asyncio.CancelledError) as defect:
        if is_cancelled():
            raise
        _log.exception(
            "delivery.defect",
            delivery_id=delivery.id,
            provider=delivery.what.provider,
            chat_id=delivery.what.chat_id,
            message_ids=delivery.what.message_ids,
        )
        return _defective(delivery, defect, clock())
    return Result(Attempt(delivery, AttemptOutcome.SENT, _plain(receipt), clock()), Verdict.ANSWERED)


def _begin_span(delivery: Delivery) -> tracing.Span | None:
    return tracing.follow(
        f"push {kind_of(delivery)}",
        delivery.what.traceparent,
        kind=tracing.Kind.CLIENT,
        attributes={"parley.delivery_id": delivery.id, "parley.attempt": delivery.attempt},
    )


def _annotate(span: tracing.Span, result: Result) -> None:
    outcome = "not_made" if result.attempt is None else result.attempt.outcome.value
    span.set("parley.outcome", outcome)
    if result.attempt is None or result.attempt.outcome is not AttemptOutcome.SENT:
        span.fail(outcome)


def give_up(delivery: Delivery, at_ms: int) -> Attempt:
    """The end of a delivery whose time is over, after the attempt that it carries the number of."""
    return Attempt(delivery, AttemptOutcome.FAILED, _given_up(delivery.attempt, delivery.last_detail), at_ms)


def kind_of(delivery: Delivery) -> str:
    """What metrics call its provider: the part of the name that users have no say in."""
    return delivery.what.provider.partition(":")[0]


def _not_taken(delivery: Delivery, error: SendError | TimeoutError, detail: str, at_ms: int) -> Result:
    match error:
        case NotWantedError():
            return Result(Attempt(delivery, AttemptOutcome.DROPPED, detail, at_ms), Verdict.UNKNOWN)
        case SendRefusedError():
            verdict = Verdict.UNKNOWN if isinstance(error, NotAskedError) else Verdict.ANSWERED
            return Result(Attempt(delivery, AttemptOutcome.FAILED, detail, at_ms), verdict)
        case TargetGoneError():
            return Result(Attempt(delivery, AttemptOutcome.GONE, detail, at_ms), Verdict.ANSWERED)
        case SendDelayedError(retry_after_seconds=wish, provider_down=down):
            attempt = _again(delivery, detail, at_ms, wish)
            if down:
                return Result(attempt, Verdict.DOWN, polite_seconds(wish))
            return Result(attempt, Verdict.ANSWERED)
        case _:
            return Result(_again(delivery, detail, at_ms), Verdict.DOWN)


def _defective(delivery: Delivery, defect: BaseException, at_ms: int) -> Result:
    detail = f"a defect of this service: {type(defect).__name__}"
    if delivery.attempt >= MAX_DEFECTS:
        return Result(Attempt(delivery, AttemptOutcome.FAILED, detail, at_ms), Verdict.UNKNOWN)
    return Result(_again(delivery, detail, at_ms), Verdict.UNKNOWN)


def _again(delivery: Delivery, detail: str, at_ms: int, wish_seconds: float | None = None) -> Attempt:
    chance = random.random()  # noqa: S311 - spreads load, guards nothing
    next_at_ms = next_attempt(delivery.attempt, at_ms, delivery.what.expires_at_ms, wish_seconds, chance)
    if next_at_ms is None:
        return Attempt(delivery, AttemptOutcome.FAILED, _given_up(delivery.attempt, detail), at_ms)
    return Attempt(delivery, AttemptOutcome.DELAYED, detail, at_ms, next_at_ms)


def _given_up(attempts: int, detail: str) -> str:
    if attempts == 0:
        return "given up: its time was over before an attempt could be made"
    times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    return cut_detail(f"given up after {times}: {detail}")


def _plain(detail: str) -> str:
    """Fit to be stored and shown: one line, no control characters, no halves of characters."""
    whole = detail.encode("utf-8", "replace").decode()
    return cut_detail(one_line(whole))
