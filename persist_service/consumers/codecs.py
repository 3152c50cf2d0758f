"""The messages of the four queues: what is checked of them, and what they mean."""

from typing import Final

from mesh.amqp.batches import BatchCodec
from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import (
    AnalyticsBatch,
    IndexBatch,
    MessageFact,
    PersistBatch,
    PointerBatch,
)
from parley.events.v1.jobs_pb2 import Pointer as PointerProto
from persist_service.consumers.checks import (
    check_id,
    check_message,
    check_position,
    check_time,
    check_user,
)
from persist_service.consumers.projections import projection_of
from persist_service.domain.log import LogEntry
from persist_service.domain.pointers import Pointer
from persist_service.domain.statistics import Fact


def _entry(event: ChatEvent) -> LogEntry:
    """An event of any kind, also of one that this version does not know."""
    check_id("chat_id", event.chat_id)
    check_id("id", event.id)
    check_position("seq", event.seq, at_least=1)
    check_position("number", event.number)
    check_position("epoch", event.epoch)
    check_time("occurred_at_ms", event.occurred_at_ms)
    return LogEntry(event, projection_of(event), event.traceparent)


def _pointer(pointer: PointerProto) -> Pointer:
    check_id("chat_id", pointer.chat_id)
    check_user("user_id", pointer.user_id)
    for name in ("read_seq", "read_number", "delivered_seq"):
        check_position(name, getattr(pointer, name))
    check_time("at_ms", pointer.at_ms)
    return Pointer(
        pointer.chat_id,
        pointer.user_id,
        pointer.read_seq,
        pointer.read_number,
        pointer.delivered_seq,
        pointer.at_ms,
    )


def _indexed(message: Message) -> Message:
    check_message(message)
    check_position("seq", message.seq, at_least=1)
    check_position("number", message.number)
    return message


def _fact(fact: MessageFact) -> Fact:
    check_id("chat_id", fact.chat_id)
    check_position("seq", fact.seq, at_least=1)
    check_time("created_at_ms", fact.created_at_ms)
    return Fact(fact.chat_id, fact.seq, fact.created_at_ms)


PERSIST: Final = BatchCodec(
    "PersistBatch",
    split=lambda body: PersistBatch.FromString(body).events,
    read=_entry,
    alone=lambda event: PersistBatch(events=[event]).SerializeToString(),
    ids=lambda event: {"chat_id": event.chat_id, "message_id": event.message.id},
)
"""``message-persist``."""

READ: Final = BatchCodec(
    "PointerBatch",
    split=lambda body: PointerBatch.FromString(body).pointers,
    read=_pointer,
    alone=lambda pointer: PointerBatch(pointers=[pointer]).SerializeToString(),
    ids=lambda pointer: {"chat_id": pointer.chat_id},
)
"""``message-read``."""

INDEX: Final = BatchCodec(
    "IndexBatch",
    split=lambda body: IndexBatch.FromString(body).messages,
    read=_indexed,
    alone=lambda message: IndexBatch(messages=[message]).SerializeToString(),
    ids=lambda message: {"chat_id": message.chat_id, "message_id": message.id},
)
"""``message-index``."""

FACTS: Final = BatchCodec(
    "AnalyticsBatch",
    split=lambda body: AnalyticsBatch.FromString(body).facts,
    read=_fact,
    alone=lambda fact: AnalyticsBatch(facts=[fact]).SerializeToString(),
    ids=lambda fact: {"chat_id": fact.chat_id},
)
"""``analytics``."""
