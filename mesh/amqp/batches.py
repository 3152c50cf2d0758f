"""The handler of a queue whose messages hold several items each: many messages become one call."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from mesh.amqp.deliveries import Ack, Dead, Delivery, Outcome, next_stop
from mesh.amqp.publishing import Outgoing
from mesh.ids import is_object_id
from mesh.logs import get_logger
from mesh.metrics import AMQP_BATCH_ITEMS, AMQP_ITEMS

_log = get_logger()

Wire = TypeVar("Wire")
Item = TypeVar("Item")


class BadItemError(Exception):
    """One item of a message that can never be handled; the text says why, without quoting content."""


@dataclass(frozen=True, slots=True)
class BatchCodec(Generic[Wire, Item]):
    """How the messages of a queue are read. The functions are pure."""

    message: str
    """What a message of the queue is called, for the reasons of dead letters."""
    split: Callable[[bytes], Sequence[Wire]]
    """The items of a message. Raises ``DecodeError``."""
    read: Callable[[Wire], Item | None]
    """What an item means; None for a kind that this release does not know. Raises ``BadItemError``."""
    alone: Callable[[Wire], bytes]
    """A message with this item alone."""
    ids: Callable[[Wire], Mapping[str, str]]
    """What the log of a bad item names it by; where it holds no id, nothing is logged: it may be content."""


class BatchHandler(Generic[Wire, Item]):
    """A ``mesh.amqp.deliveries.Handler`` that merges deliveries into one call of ``work``.

    ``work`` is idempotent, and returns the reasons of items that can never be handled, by place, or None. A
    bad item moves to the dead-letter queue in a message of its own, by the broker's ``publish``, and the rest
    of its delivery is done. An item of an unknown kind is counted and left aside, so that a kind may be sent
    before all know it.

    Dead letters are published after the work. Nothing is acknowledged before both are done, so a crash
    between them loses nothing in either order: all of it is delivered again. But repeated work changes
    nothing, and each repeated publishing adds dead letters: before the work, an outage of what the work needs
    would add them with every attempt.
    """

    def __init__(
        self,
        queue: str,
        codec: BatchCodec[Wire, Item],
        work: Callable[[Sequence[Item]], Awaitable[Mapping[int, str] | None]],
        publish: Callable[[Sequence[Outgoing]], Awaitable[None]],
    ) -> None:
        self._queue = queue
        self._codec = codec
        self._work = work
        self._publish = publish

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """One outcome per delivery.

        Raises:
            Unavailable: a server that the work needs is down, or the broker did not take the dead letters.
        """
        outcomes: list[Outcome] = []
        sources: list[tuple[Delivery, Wire]] = []
        for delivery in deliveries:
            try:
                wires = self._codec.split(delivery.body)
            except DecodeError:
                outcomes.append(Dead(f"malformed: the body is no {self._codec.message}"))
                continue
            outcomes.append(Ack() if wires else Dead(f"malformed: the {self._codec.message} is empty"))
            sources += [(delivery, wire) for wire in wires]
        handled, bad = await self._handle([wire for _, wire in sources])
        if bad:
            await self._publish([self._dead_letter(*sources[place], reason) for place, reason in bad.items()])
        for place, reason in bad.items():
            ids = self._codec.ids(sources[place][1])
            known = {name: value for name, value in ids.items() if is_object_id(value)}
            _log.warning("amqp.item_dead", queue=self._queue, reason=reason, **known)
        AMQP_BATCH_ITEMS.labels(self._queue).observe(len(sources))
        for outcome, count in (
            ("handled", handled),
            ("dead", len(bad)),
            ("unknown", len(sources) - handled - len(bad)),
        ):
            AMQP_ITEMS.labels(self._queue, outcome).inc(count)
        return outcomes

    async def _handle(self, wires: Sequence[Wire]) -> tuple[int, Mapping[int, str]]:
        """How many were handled, and why others never can be, by place."""
        bad: dict[int, str] = {}
        items: list[Item] = []
        places: list[int] = []
        for place, wire in enumerate(wires):
            try:
                item = self._codec.read(wire)
            except BadItemError as error:
                bad[place] = str(error)
                continue
            if item is not None:
                items.append(item)
                places.append(place)
        rejected = (await self._work(items) if items else None) or {}
        bad |= {places[place]: reason for place, reason in rejected.items()}
        return len(items) - len(rejected), bad

    def _dead_letter(self, delivery: Delivery, wire: Wire, reason: str) -> Outgoing:
        alone = replace(delivery, body=self._codec.alone(wire))
        return next_stop(alone, Dead(reason), self._queue, ())


def has_unknown_fields(message: Message) -> bool:
    """Whether a later release put something into it: what looks unset may be a kind unknown here."""
    return len(UnknownFieldSet(message)) > 0
