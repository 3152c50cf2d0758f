"""Calls a handler for a batch and makes an outcome of whatever it does."""

import asyncio
from collections.abc import Sequence

from mesh.amqp.deliveries import Delivery, Handler, Outcome, Park, Retry
from mesh.backoff import Backoff
from mesh.errors import ParleyError, Unavailable
from mesh.logs import get_logger

_log = get_logger()

Settlement = Outcome | Park


async def handle(
    queue: str,
    handler: Handler,
    deliveries: Sequence[Delivery],
    *,
    hold_seconds: float,
    interrupted: asyncio.Event,
) -> Sequence[Settlement] | None:
    """The outcomes of ``deliveries``, in order; None when it was interrupted while an outage held them.

    During an outage (``Unavailable``) the batch is tried again with back-off. After ``hold_seconds`` it is
    parked, because the broker takes back what a consumer keeps for too long.
    """
    backoff = Backoff(base=0.2, cap=10.0)
    loop = asyncio.get_running_loop()
    park_at = loop.time() + hold_seconds
    held = False
    while True:
        try:
            return await _call(handler, deliveries)
        except Unavailable as error:
            if loop.time() >= park_at:
                _log.warning(
                    "amqp.batch_parked", queue=queue, error=error.message, deliveries=len(deliveries)
                )
                return [Park(_describe(error))] * len(deliveries)
            if not held:
                held = True
                _log.warning("amqp.batch_held", queue=queue, error=error.message, deliveries=len(deliveries))
            if await wait_for(interrupted, backoff.next_delay()):
                return None
        except Exception as error:  # noqa: BLE001 - a defect of the handler ends here, not the consumer
            if len(deliveries) == 1:
                _log.exception("amqp.handler_failed", queue=queue, message_id=deliveries[0].message_id)
                return [Retry(_describe(error))]
            break
    return await _one_by_one(queue, handler, deliveries, hold_seconds=hold_seconds, interrupted=interrupted)


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Whether ``event`` was set within ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _one_by_one(
    queue: str,
    handler: Handler,
    deliveries: Sequence[Delivery],
    *,
    hold_seconds: float,
    interrupted: asyncio.Event,
) -> Sequence[Settlement] | None:
    settlements: list[Settlement] = []
    for delivery in deliveries:
        alone = await handle(queue, handler, (delivery,), hold_seconds=hold_seconds, interrupted=interrupted)
        if alone is None:
            return None
        settlements += alone
    return settlements


async def _call(handler: Handler, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
    outcomes = await handler(deliveries)
    if len(outcomes) != len(deliveries):
        raise RuntimeError(f"handler gave {len(outcomes)} outcomes for {len(deliveries)} deliveries")
    return outcomes


def _describe(error: Exception) -> str:
    # The text of an unexpected exception may quote the message; the log has it, the header only its type.
    return f"{error.code}: {error.message}" if isinstance(error, ParleyError) else type(error).__name__
