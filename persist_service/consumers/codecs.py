"""The messages of the four queues: what is checked of them, and what they mean."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from contract.user_ids import USER_ID_RULE, is_user_id
from mesh.ids import is_object_id
from parley.common.v1 import message_pb2
from parley.events.v1 import chat_event_pb2, jobs_pb2
from persist_service.codec import MESSAGE_TYPES
from persist_service.consumers.batches import BadItemError
from persist_service.domain.log import Change, LogEntry, Message
from persist_service.domain.pointers import Pointer
from persist_service.domain.statistics import Fact

_INT64_LIMIT: Final = 2**63
_LAST_MS: Final = 253_402_300_799_999  # the end of the year 9999
_CLIENT_MSG_ID_LIMIT: Final = 64
_MENTIONS_LIMIT: Final = 50
# Far above any setting of chat_service: only what no sender could have meant is refused here.
_CONTENT_LIMIT: Final = 1_000_000


class PersistCodec:
    """``message-persist``."""

    def items(self, body: bytes) -> Sequence[chat_event_pb2.ChatEvent]:
        """As ``Codec`` says."""
        return jobs_pb2.PersistBatch.FromString(body).events

    def value(self, item: chat_event_pb2.ChatEvent) -> LogEntry:
        """As ``Codec`` says."""
        _check_chat(item.chat_id)
        _check_position("seq", item.seq, at_least=1)
        _check_position("number", item.number)
        _check_position("epoch", item.epoch)
        _check_time("occurred_at_ms", item.occurred_at_ms)
        return LogEntry(
            item.chat_id,
            item.epoch,
            item.seq,
            item.number,
            item.occurred_at_ms,
            body=_entry_body(item),
            event=item.SerializeToString(deterministic=True),
        )

    def body(self, item: chat_event_pb2.ChatEvent) -> bytes:
        """As ``Codec`` says."""
        return jobs_pb2.PersistBatch(events=[item]).SerializeToString()


class PointerCodec:
    """``message-read``."""

    def items(self, body: bytes) -> Sequence[jobs_pb2.Pointer]:
        """As ``Codec`` says."""
        return jobs_pb2.PointerBatch.FromString(body).pointers

    def value(self, item: jobs_pb2.Pointer) -> Pointer:
        """As ``Codec`` says."""
        _check_chat(item.chat_id)
        _check_user("user_id", item.user_id)
        for name in ("read_seq", "read_number", "delivered_seq"):
            _check_position(name, getattr(item, name))
        _check_time("at_ms", item.at_ms)
        return Pointer(
            item.chat_id, item.user_id, item.read_seq, item.read_number, item.delivered_seq, item.at_ms
        )

    def body(self, item: jobs_pb2.Pointer) -> bytes:
        """As ``Codec`` says."""
        return jobs_pb2.PointerBatch(pointers=[item]).SerializeToString()


class IndexCodec:
    """``message-index``."""

    def items(self, body: bytes) -> Sequence[message_pb2.Message]:
        """As ``Codec`` says."""
        return jobs_pb2.IndexBatch.FromString(body).messages

    def value(self, item: message_pb2.Message) -> Message:
        """As ``Codec`` says."""
        return _message(item, item.chat_id, item.seq, item.number)

    def body(self, item: message_pb2.Message) -> bytes:
        """As ``Codec`` says."""
        return jobs_pb2.IndexBatch(messages=[item]).SerializeToString()


class AnalyticsCodec:
    """``analytics``."""

    def items(self, body: bytes) -> Sequence[jobs_pb2.MessageFact]:
        """As ``Codec`` says."""
        return jobs_pb2.AnalyticsBatch.FromString(body).facts

    def value(self, item: jobs_pb2.MessageFact) -> Fact:
        """As ``Codec`` says."""
        _check_chat(item.chat_id)
        _check_position("seq", item.seq, at_least=1)
        _check_time("created_at_ms", item.created_at_ms)
        return Fact(item.chat_id, item.seq, item.created_at_ms)

    def body(self, item: jobs_pb2.MessageFact) -> bytes:
        """As ``Codec`` says."""
        return jobs_pb2.AnalyticsBatch(facts=[item]).SerializeToString()


def _entry_body(event: chat_event_pb2.ChatEvent) -> Message | Change:
    kind = event.WhichOneof("body")
    match kind:
        case "message":
            if event.message.chat_id != event.chat_id:
                raise BadItemError("message.chat_id differs from chat_id")
            message = _message(event.message, event.chat_id, event.seq, event.number, event.epoch)
            if event.traceparent or event.unread_by_sender:
                return replace(
                    message, traceparent=event.traceparent, unread_by_sender=event.unread_by_sender
                )
            return message
        case "members_added":
            joined = tuple(member.user_id for member in event.members_added.members)
            return Change("members-added", event.members_added.actor_id, joined)
        case "member_removed":
            actor = event.member_removed.actor_id
        case "chat_updated":
            actor = event.chat_updated.actor_id
        case None:
            raise BadItemError("the event has no body that this version knows")
        case _:
            raise BadItemError(f"{kind} is not a log entry")
    return Change(kind.replace("_", "-"), actor)


def _message(message: message_pb2.Message, chat_id: str, seq: int, number: int, epoch: int = 0) -> Message:
    if not is_object_id(message.id):
        raise BadItemError("message.id is not an id")
    _check_chat(chat_id)
    _check_position("seq", seq, at_least=1)
    _check_position("number", number)
    _check_user("message.sender_id", message.sender_id)
    if not 1 <= len(message.client_msg_id) <= _CLIENT_MSG_ID_LIMIT:
        raise BadItemError(f"message.client_msg_id has not 1 to {_CLIENT_MSG_ID_LIMIT} characters")
    if not 1 <= len(message.content) <= _CONTENT_LIMIT:
        raise BadItemError(f"message.content has not 1 to {_CONTENT_LIMIT} characters")
    _check_time("message.created_at_ms", message.created_at_ms)
    if len(message.mentions) > _MENTIONS_LIMIT:
        raise BadItemError(f"message.mentions names more than {_MENTIONS_LIMIT} users")
    for user_id in message.mentions:
        _check_user("message.mentions", user_id)
    kind = MESSAGE_TYPES.get(message.type)
    if kind is None:
        raise BadItemError(f"message.type {message.type} is not known")
    return Message(
        id=message.id,
        chat_id=chat_id,
        seq=seq,
        number=number,
        sender_id=message.sender_id,
        type=kind,
        content=message.content,
        client_msg_id=message.client_msg_id,
        created_at_ms=message.created_at_ms,
        epoch=epoch,
        mentions=tuple(message.mentions),
    )


def _check_chat(chat_id: str) -> None:
    if not is_object_id(chat_id):
        raise BadItemError("chat_id is not an id")


def _check_user(name: str, user_id: str) -> None:
    if not is_user_id(user_id):
        raise BadItemError(f"{name} {USER_ID_RULE}")


def _check_position(name: str, position: int, *, at_least: int = 0) -> None:
    # MongoDB's integers are signed.
    if not at_least <= position < _INT64_LIMIT:
        raise BadItemError(f"{name} is not within {at_least} and 2**63 - 1")


def _check_time(name: str, epoch_ms: int) -> None:
    if not 0 <= epoch_ms <= _LAST_MS:
        raise BadItemError(f"{name} is not a time before the year 10000")
