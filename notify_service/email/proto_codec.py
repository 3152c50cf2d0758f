"""Mails as they wait in the queue and in a delivery: protobuf."""

from collections.abc import Callable
from typing import Final

from contract.user_ids import USER_ID_RULE, is_user_id
from mesh.amqp.batches import BadItemError, BatchCodec, has_unknown_fields
from mesh.ids import is_object_id
from notify_service.email.digest import MAX_CHATS, Digest, Email, UnreadChat
from parley.events.v1 import jobs_pb2

_CHECKS: Final[tuple[tuple[Callable[[jobs_pb2.Email], bool], str], ...]] = (
    (lambda email: is_object_id(email.id), "id: must be 24 lower-case hex digits"),
    (lambda email: is_object_id(email.device_id), "device_id: must be 24 lower-case hex digits"),
    (lambda email: is_user_id(email.user_id), f"user_id: {USER_ID_RULE}"),
    (lambda email: email.created_at_ms > 0, "created_at_ms: is not set"),
    (lambda email: 1 <= len(email.digest.chats) <= MAX_CHATS, f"digest: must hold 1 to {MAX_CHATS} chats"),
    (lambda email: all(chat.title for chat in email.digest.chats), "digest: a chat has no title"),
)


def _read(email: jobs_pb2.Email) -> jobs_pb2.Email | None:
    if email.WhichOneof("body") is None and has_unknown_fields(email):
        return None
    for holds, problem in _CHECKS:
        if not holds(email):
            raise BadItemError(problem)
    return email


EMAILS: Final = BatchCodec(
    "EmailBatch",
    split=lambda body: jobs_pb2.EmailBatch.FromString(body).emails,
    read=_read,
    alone=lambda email: jobs_pb2.EmailBatch(emails=[email]).SerializeToString(),
    ids=lambda email: {"email_id": email.id},
)
"""Queue `email-send`; what it lets through has a meaning, see `from_proto`."""


def to_proto(email: Email) -> jobs_pb2.Email:
    """The message of a mail."""
    digest = jobs_pb2.Digest(
        unread=email.digest.unread,
        chats=[
            jobs_pb2.UnreadChat(
                chat_id=chat.chat_id,
                title=chat.title,
                unread=chat.unread,
                sender_name=chat.sender_name,
                preview=chat.preview,
                at_ms=chat.at_ms,
            )
            for chat in email.digest.chats
        ],
    )
    return jobs_pb2.Email(
        id=email.id,
        user_id=email.user_id,
        device_id=email.device_id,
        created_at_ms=email.created_at_ms,
        digest=digest,
    )


def from_proto(email: jobs_pb2.Email) -> Email:
    """The mail of a message that `EMAILS` let through."""
    return Email(
        id=email.id,
        user_id=email.user_id,
        device_id=email.device_id,
        created_at_ms=email.created_at_ms,
        digest=Digest(
            chats=tuple(
                UnreadChat(
                    chat_id=chat.chat_id,
                    title=chat.title,
                    unread=chat.unread,
                    sender_name=chat.sender_name,
                    preview=chat.preview,
                    at_ms=chat.at_ms,
                )
                for chat in email.digest.chats
            ),
            unread=email.digest.unread,
        ),
    )
