"""One dead letter, and what its headers tell of its life."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aio_pika.abc import AbstractIncomingMessage
from pamqp.common import FieldValue

from mesh.amqp.deliveries import ATTEMPT_HEADER, FIRST_FAILED_HEADER, QUEUE_HEADER, REASON_HEADER
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import dead_queue
from mesh.clock import to_rfc3339

_DELIVERIES_HEADER: Final = "x-delivery-count"
_DEATHS_HEADER: Final = "x-death"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in `<queue>.dead`. Times are RFC 3339 in UTC; empty when not known."""

    queue: str
    message_id: str
    reason: str
    attempts: int
    first_failed_at: str
    deliveries: int
    """How often it was read where it is now: quorum queues count what comes back unsettled."""
    headers: Mapping[str, FieldValue]
    """Without those of the broker."""
    body: bytes

    def revived(self) -> Outgoing:
        """The message as it goes back to work: no attempt made. When it failed first stays on record."""
        forget = {ATTEMPT_HEADER, REASON_HEADER}
        headers = {name: value for name, value in self.headers.items() if name not in forget}
        return Outgoing(self.queue, self.body, headers, self.message_id)

    def renewed(self) -> Outgoing:
        """The same dead letter, never read; what the broker knew of it is kept in our own headers."""
        headers: dict[str, FieldValue] = {
            **self.headers,
            ATTEMPT_HEADER: self.attempts,
            REASON_HEADER: self.reason,
            QUEUE_HEADER: self.queue,
        }
        return Outgoing(dead_queue(self.queue), self.body, headers, self.message_id)


def letter_of(queue: str, message: AbstractIncomingMessage) -> DeadLetter:
    """Reads a message of the dead-letter queue of `queue`."""
    headers = message.headers
    own = {
        name: value
        for name, value in headers.items()
        if not name.startswith("x-") or name.startswith("x-parley-")
    }
    death = _death_by_broker(headers.get(_DEATHS_HEADER), queue)
    first_failed_at = _text(headers.get(FIRST_FAILED_HEADER)) or _time_of(death)
    if first_failed_at:
        own[FIRST_FAILED_HEADER] = first_failed_at
    return DeadLetter(
        queue=queue,
        message_id=message.message_id or "",
        reason=_reason(headers, death),
        attempts=_number(headers.get(ATTEMPT_HEADER)),
        first_failed_at=first_failed_at,
        deliveries=_number(headers.get(_DELIVERIES_HEADER)),
        headers=own,
        body=message.body,
    )


def _death_by_broker(deaths: FieldValue, queue: str) -> Mapping[str, FieldValue]:
    """The broker's own record that it took the message out of `queue`; empty if a consumer did."""
    for death in deaths if isinstance(deaths, list) else ():
        # The retry queues leave records too: their messages die by expiring.
        if isinstance(death, dict) and death.get("queue") == queue:
            return death
    return {}


def _reason(headers: Mapping[str, FieldValue], death: Mapping[str, FieldValue]) -> str:
    own = _text(headers.get(REASON_HEADER))
    if not death:
        return own or "unknown"
    broker = f"by the broker: {_text(death.get('reason'))}"
    return f"{broker}; before: {own}" if own else broker


def _time_of(death: Mapping[str, FieldValue]) -> str:
    time = death.get("time")
    return to_rfc3339(int(time.astimezone(UTC).timestamp() * 1000)) if isinstance(time, datetime) else ""


def _text(value: FieldValue) -> str:
    return value if isinstance(value, str) else ""


def _number(value: FieldValue) -> int:
    return value if isinstance(value, int) else 0
