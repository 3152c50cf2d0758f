"""What happens as protobuf: log entries, signals, news for users, and the batches for the broker. Pure."""

from collections.abc import Iterable, Mapping

from chat_service import proto_codec
from chat_service.domain.events import ChatAdded, ChatRemoved, UserNews
from chat_service.domain.model import PointerMove, Position
from chat_service.domain.resume import Entry
from contract.latest import latest_text
from parley.common.v1.chat_pb2 import LatestMessage
from parley.common.v1.message_pb2 import Message
from parley.events.v1 import chat_event_pb2, jobs_pb2, user_event_pb2


def latest_of(message: Message) -> bytes:
    """What the head of the log keeps of its last message, without the position: the script appends it."""
    latest = LatestMessage()
    latest.text = latest_text(message.content)
    latest.sender_id = message.sender_id
    latest.timestamp_ms = message.created_at_ms
    latest.type = message.type
    return latest.SerializeToString()


def at_position(entry: bytes, position: Position) -> bytes:
    """The bytes that the log's script made of ``entry``; see scripts/_place.lua."""
    return b"".join(
        (
            entry,
            b"\x69" + position.epoch.to_bytes(8, "little"),
            b"\x71" + position.seq.to_bytes(8, "little"),
            b"\x79" + position.number.to_bytes(8, "little"),
        )
    )


def entry(encoded: bytes) -> Entry:
    """A log entry with what is needed to judge it."""
    event = chat_event_pb2.ChatEvent.FromString(encoded)
    return Entry(event.seq, event.occurred_at_ms, encoded, event.HasField("message"))


def stored_entry(event: chat_event_pb2.ChatEvent) -> Entry:
    """The same of an entry that the store answered."""
    return Entry(event.seq, event.occurred_at_ms, event.SerializeToString(), event.HasField("message"))


def logged(encoded: bytes) -> tuple[Position, Message | None]:
    """Where a log entry stands, and its message if it is one."""
    event = chat_event_pb2.ChatEvent.FromString(encoded)
    position = Position(event.epoch, event.seq, event.number)
    if not event.HasField("message"):
        return position, None
    message = event.message
    message.seq, message.number = position.seq, position.number
    return position, message


def user_events(news: Mapping[str, UserNews], at_ms: int) -> dict[str, bytes]:
    """What the channels of users carry. News for many is encoded once: encoded parts may be joined."""
    bodies = {id(item): _user_event_body(item) for item in news.values()}
    return {
        user_id: user_event_pb2.UserEvent(user_id=user_id, occurred_at_ms=at_ms).SerializeToString()
        + bodies[id(item)]
        for user_id, item in news.items()
    }


def _user_event_body(news: UserNews) -> bytes:
    event = user_event_pb2.UserEvent()
    if isinstance(news, ChatAdded):
        event.chat_added.chat.CopyFrom(proto_codec.chat_pb(news.chat))
        event.chat_added.actor_id = news.actor_id
    elif isinstance(news, ChatRemoved):
        event.chat_removed.chat_id = news.chat_id
        event.chat_removed.actor_id = news.actor_id
    else:
        event.sessions_revoked.connection_id = news.connection_id
        event.sessions_revoked.issued_before_ms = news.issued_before_ms
    return event.SerializeToString()


def pointer_batch(moves: Iterable[PointerMove]) -> bytes:
    """A ``PointerBatch``."""
    return jobs_pb2.PointerBatch(
        pointers=[
            jobs_pb2.Pointer(
                chat_id=move.chat_id,
                user_id=move.user_id,
                read_seq=move.read.seq,
                read_number=move.read.number,
                delivered_seq=move.delivered_seq,
                at_ms=move.at_ms,
            )
            for move in moves
        ]
    ).SerializeToString()
