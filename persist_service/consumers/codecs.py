"""The messages of the four queues: what is checked of them, and what they mean."""

from collections.abc import Sequence

from parley.common.v1.message_pb2 import Message
from parley.events.v1 import jobs_pb2
from parley.events.v1.chat_event_pb2 import ChatEvent
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


class PersistCodec:
    """``message-persist``."""

    def items(self, body: bytes) -> Sequence[ChatEvent]:
        """As ``Codec`` says."""
        return jobs_pb2.PersistBatch.FromString(body).events

    def value(self, item: ChatEvent) -> LogEntry:
        """As ``Codec`` says; an event of any kind, also of one that this version does not know."""
        check_id("chat_id", item.chat_id)
        check_id("id", item.id)
        check_position("seq", item.seq, at_least=1)
        check_position("number", item.number)
        check_position("epoch", item.epoch)
        check_time("occurred_at_ms", item.occurred_at_ms)
        return LogEntry(item, projection_of(item), item.traceparent)

    def body(self, item: ChatEvent) -> bytes:
        """As ``Codec`` says."""
        return jobs_pb2.PersistBatch(events=[item]).SerializeToString()


class PointerCodec:
    """``message-read``."""

    def items(self, body: bytes) -> Sequence[jobs_pb2.Pointer]:
        """As ``Codec`` says."""
        return jobs_pb2.PointerBatch.FromString(body).pointers

    def value(self, item: jobs_pb2.Pointer) -> Pointer:
        """As ``Codec`` says."""
        check_id("chat_id", item.chat_id)
        check_user("user_id", item.user_id)
        for name in ("read_seq", "read_number", "delivered_seq"):
            check_position(name, getattr(item, name))
        check_time("at_ms", item.at_ms)
        return Pointer(
            item.chat_id, item.user_id, item.read_seq, item.read_number, item.delivered_seq, item.at_ms
        )

    def body(self, item: jobs_pb2.Pointer) -> bytes:
        """As ``Codec`` says."""
        return jobs_pb2.PointerBatch(pointers=[item]).SerializeToString()


class IndexCodec:
    """``message-index``."""

    def items(self, body: bytes) -> Sequence[Message]:
        """As ``Codec`` says."""
        return jobs_pb2.IndexBatch.FromString(body).messages

    def value(self, item: Message) -> Message:
        """As ``Codec`` says."""
        check_message(item)
        check_position("seq", item.seq, at_least=1)
        check_position("number", item.number)
        return item

    def body(self, item: Message) -> bytes:
        """As ``Codec`` says."""
        return jobs_pb2.IndexBatch(messages=[item]).SerializeToString()


class AnalyticsCodec:
    """``analytics``."""

    def items(self, body: bytes) -> Sequence[jobs_pb2.MessageFact]:
        """As ``Codec`` says."""
        return jobs_pb2.AnalyticsBatch.FromString(body).facts

    def value(self, item: jobs_pb2.MessageFact) -> Fact:
        """As ``Codec`` says."""
        check_id("chat_id", item.chat_id)
        check_position("seq", item.seq, at_least=1)
        check_time("created_at_ms", item.created_at_ms)
        return Fact(item.chat_id, item.seq, item.created_at_ms)

    def body(self, item: jobs_pb2.MessageFact) -> bytes:
        """As ``Codec`` says."""
        return jobs_pb2.AnalyticsBatch(facts=[item]).SerializeToString()
