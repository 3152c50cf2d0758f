"""Mails as they wait in the queue and in a delivery: protobuf."""

from collections.abc import Callable
from typing import Final

from contract.user_ids import USER_ID_RULE, is_user_id
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


def problem(email: jobs_pb2.Email) -> str | None:
    """What makes a mail impossible to send, for the dead letter's reason."""
    return next((words for holds, words in _CHECKS if not holds(email)), None)


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
    """The mail of a message that has no `problem`."""
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
