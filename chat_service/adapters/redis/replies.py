"""What the scripts and hashes of a chat's log answer, as values."""

from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import RedisError

from chat_service import event_codec
from chat_service.domain.model import Head, Position, ReadPointer
from chat_service.ports.log import LogEntry, Refusal, Taken
from mesh.logs import get_logger
from mesh.redis import is_moving
from parley.chat.v1.chat_service_pb2 import SendAccepted
from parley.events.v1.chat_event_pb2 import ChatEvent

HEAD_FIELDS: Final = ("epoch", "seq", "number", "members", "base")

_TAKEN: Final = 1
_REPEAT: Final = 2
_REFUSALS: Final = {
    3: Refusal.ROLE_UNKNOWN,
    4: Refusal.NOT_A_MEMBER,
    5: Refusal.HEAD_MISSING,
    6: Refusal.CONFLICT,
    7: Refusal.DEDUPE_UNCERTAIN,
}
_log = get_logger()


def taken(event: ChatEvent, entry: bytes, answer: Any) -> Taken | Refusal:
    """The answer of the accept script to a message's ``event``; ``entry`` is that event, encoded."""
    if is_moving(answer):
        return Refusal.MOVING
    if isinstance(answer, RedisError):
        _log.error("chat.accept_failed", error=str(answer))
        return Refusal.FAILED
    chat_id, code = event.chat_id, answer[0]
    if code == _TAKEN:
        position = Position(*map(int, answer[1:4]))
        accepted = _accepted(event.id, chat_id, position, event.occurred_at_ms, duplicate=False)
        logged = LogEntry(chat_id, position.seq, event_codec.at_position(entry, position))
        return Taken(accepted, logged, has_read=answer[4] == 1)
    if code == _REPEAT:
        message_id, epoch, seq, number, at_ms, waiting = answer[1:]
        position = Position(int(epoch), int(seq), int(number))
        accepted = _accepted(message_id.decode(), chat_id, position, int(at_ms), duplicate=True)
        return Taken(accepted, None if waiting is None else LogEntry(chat_id, position.seq, waiting))
    return _REFUSALS[code]


def _accepted(
    message_id: str, chat_id: str, position: Position, created_at_ms: int, *, duplicate: bool
) -> SendAccepted:
    accepted = SendAccepted()
    accepted.message_id = message_id
    accepted.chat_id = chat_id
    accepted.seq = position.seq
    accepted.number = position.number
    accepted.created_at_ms = created_at_ms
    accepted.duplicate = duplicate
    accepted.epoch = position.epoch
    return accepted


def head(fields: Sequence[bytes | None]) -> Head | None:
    """The values of ``HEAD_FIELDS``; None when there is no head."""
    epoch, seq, number, members, base = fields
    if epoch is None or seq is None or number is None:
        return None
    return Head(int(epoch), int(seq), int(number), int(members or 0), int(base or 0))


def read_pointer(text: bytes) -> ReadPointer:
    """What ``encode_pointer`` made."""
    return ReadPointer(*map(int, text.split(b":")))


def encode_pointer(pointer: ReadPointer) -> str:
    """``seq:number:at``."""
    return f"{pointer.seq}:{pointer.number}:{pointer.at_ms}"
