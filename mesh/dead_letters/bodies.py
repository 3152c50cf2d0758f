"""What the queues carry, made readable."""

from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

from mesh.amqp.topology import (
    ANALYTICS,
    EMAIL_SEND,
    EVENT_HOOKS,
    MESSAGE_INDEX,
    MESSAGE_PERSIST,
    MESSAGE_READ,
    NOTIFICATION_SEND,
)
from parley.events.v1.jobs_pb2 import (
    AnalyticsBatch,
    EmailBatch,
    EventBatch,
    IndexBatch,
    NotificationBatch,
    PersistBatch,
    PointerBatch,
)

_TYPES: Final[dict[str, type[Message]]] = {
    MESSAGE_PERSIST: PersistBatch,
    MESSAGE_READ: PointerBatch,
    NOTIFICATION_SEND: NotificationBatch,
    MESSAGE_INDEX: IndexBatch,
    ANALYTICS: AnalyticsBatch,
    EMAIL_SEND: EmailBatch,
    EVENT_HOOKS: EventBatch,
}


def readable(queue: str, body: bytes) -> Any:
    """The body as JSON types: by the protobuf type of its queue, else as hex digits with the reason."""
    kind = _TYPES.get(queue)
    if kind is None:
        return {"undecoded": body.hex(), "because": f"no type is known for {queue}"}
    try:
        message = kind.FromString(body)
    except DecodeError as error:
        return {"undecoded": body.hex(), "because": f"not a {kind.DESCRIPTOR.name}: {error}"}
    return {kind.DESCRIPTOR.name: MessageToDict(message)}
