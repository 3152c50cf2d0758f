"""What the kinds of events change in documents of their own: the one table to add to.

A kind without a row, known or not, is stored in the log as it came and changes nothing else.
"""

from collections.abc import Callable, Mapping
from typing import Final

from mesh.amqp.batches import BadItemError
from parley.events.v1.chat_event_pb2 import ChatEvent
from persist_service.consumers.checks import check_message
from persist_service.domain.log import Projection, message_of
from persist_service.domain.pointers import Pointer

_NOTHING: Final = Projection()


def projection_of(event: ChatEvent) -> Projection:
    """What the event changes.

    Raises:
        BadItemError: its documents could not hold it.
    """
    project = PROJECTIONS.get(event.WhichOneof("body") or "")
    return _NOTHING if project is None else project(event)


def _message(event: ChatEvent) -> Projection:
    message = message_of(event)
    if message.chat_id != event.chat_id:
        raise BadItemError("message.chat_id differs from chat_id")
    check_message(message)
    if message.id != event.id:
        raise BadItemError("message.id differs from id")
    if event.unread_by_sender:
        return Projection(message)
    # Who sends has read what is above.
    read = Pointer(
        message.chat_id,
        message.sender_id,
        read_seq=message.seq,
        read_number=message.number,
        at_ms=message.created_at_ms,
    )
    return Projection(message, (read,))


def _members_added(event: ChatEvent) -> Projection:
    # Who joins begins with nothing unread, wherever the store was when it stored the new member.
    joined = (member.user_id for member in event.members_added.members)
    return Projection(
        pointers=tuple(Pointer(event.chat_id, user_id, read_number=event.number) for user_id in joined)
    )


PROJECTIONS: Final[Mapping[str, Callable[[ChatEvent], Projection]]] = {
    "message": _message,
    "members_added": _members_added,
}
