"""The rules that need nothing but the values they judge. Each raises the error that the client will see."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from chat_service.domain.model import ChatKind, Group, Role
from contract import limits
from contract.names import MAX_NAME_LENGTH
from contract.text import is_visible
from contract.user_ids import USER_ID_RULE, is_user_id
from mesh.errors import FailedPrecondition, InvalidArgument, PermissionDenied, Unauthenticated
from mesh.ids import is_object_id
from parley.common.v1.error_pb2 import ErrorReason
from parley.common.v1.message_pb2 import Message, MessageType

CONNECTION_ID_LIMIT = 64
EDGE_ID_LIMIT = 64
_BYTES_PER_PRICE = 128
_TYPES: Final = frozenset(MessageType.values()) - {MessageType.MESSAGE_TYPE_UNSPECIFIED}

_CLIENT_MSG_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


def invalid(message: str) -> InvalidArgument:
    """The error for a field that breaks its rule; ``message`` names the field."""
    return InvalidArgument(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, message)


def not_a_member() -> PermissionDenied:
    """One error for "no such chat" and "not yours", so that nobody learns which ids exist."""
    return PermissionDenied(ErrorReason.ERROR_REASON_NOT_A_MEMBER, "no such chat, or you are not a member")


def check_user_id(user_id: str, field: str) -> str:
    """A user id, by the rule of `contract.user_ids`.

    Raises:
        InvalidArgument: it is not.
    """
    if not is_user_id(user_id):
        raise invalid(f"{field} {USER_ID_RULE}")
    return user_id


def check_chat_id(chat_id: str) -> str:
    """A well-formed id of a chat.

    Raises:
        InvalidArgument: it is not.
    """
    if not is_object_id(chat_id):
        raise invalid("chatId must be 24 lower-case hexadecimal digits")
    return chat_id


def check_may_exist(chat_id: str) -> None:
    """Sees to it that nothing is asked about a chat that cannot be.

    Raises:
        PermissionDenied: NOT_A_MEMBER, the id is no id of a chat.
    """
    if not is_object_id(chat_id):
        raise not_a_member()


def check_connection_id(connection_id: str) -> None:
    """The id of a connection, or nothing.

    Raises:
        InvalidArgument: it is too long.
    """
    if len(connection_id) > CONNECTION_ID_LIMIT:
        raise invalid(f"connectionId is longer than {CONNECTION_ID_LIMIT} characters")


def check_edge_id(edge_id: str) -> str:
    """The id of an edge, or nothing.

    Raises:
        InvalidArgument: it is too long.
    """
    if len(edge_id) > EDGE_ID_LIMIT:
        raise invalid(f"edgeId is longer than {EDGE_ID_LIMIT} characters")
    return edge_id


def session_revoked() -> Unauthenticated:
    """The error for a session whose token, or which itself, was revoked."""
    return Unauthenticated(
        ErrorReason.ERROR_REASON_SESSION_REVOKED, "the sessions of the user were revoked; get a new token"
    )


def check_message(message: Message, content_limit: int) -> None:
    """Whether a message may be sent; ``content_limit`` is in characters.

    Raises:
        InvalidArgument: a field breaks its rule.
    """
    content = message.content
    check_user_id(message.sender_id, "userId")
    check_chat_id(message.chat_id)
    if message.type not in _TYPES:
        raise invalid("type must be text, image or file")
    if not _CLIENT_MSG_ID.fullmatch(message.client_msg_id):
        raise invalid("clientMsgId must have 1 to 64 characters of A-Z a-z 0-9 . _ : -")
    if len(content) > content_limit:
        raise InvalidArgument(
            ErrorReason.ERROR_REASON_INVALID_CONTENT, f"content is longer than {content_limit} characters"
        )
    if not is_visible(content):
        raise InvalidArgument(ErrorReason.ERROR_REASON_INVALID_CONTENT, "content shows nothing")
    if message.mentions:
        _check_mentions(message.mentions)


def _check_mentions(mentions: Sequence[str]) -> None:
    if len(mentions) > limits.MENTIONS:
        raise invalid(f"mentions names more than {limits.MENTIONS} users")
    if len(set(mentions)) < len(mentions):
        raise invalid("mentions names a user twice")
    for user_id in mentions:
        check_user_id(user_id, "mentions")


def fingerprint(message: Message) -> str:
    """Tells a repeated send from another message under the same ``clientMsgId``."""
    said = f"{message.type}\0{message.content}"
    if message.mentions:
        # No type begins with a bracket: so the two forms never meet.
        said = json.dumps((message.type, message.content, list(message.mentions)))
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def check_group(group: Group) -> None:
    """What a new group may be.

    Raises:
        InvalidArgument: a field breaks its rule.
    """
    if len(group.name) > MAX_NAME_LENGTH or not is_visible(group.name):
        raise invalid(f"name must have 1 to {MAX_NAME_LENGTH} characters, at least one of them visible")
    if len(group.description) > limits.DESCRIPTION_LENGTH:
        raise invalid(f"description is longer than {limits.DESCRIPTION_LENGTH} characters")
    if group.description and not is_visible(group.description):
        raise invalid("description shows nothing; leave it out")
    if len(group.avatar) > limits.AVATAR_LENGTH:
        raise invalid(f"avatar is longer than {limits.AVATAR_LENGTH} characters")
    check_member_ids(group.member_ids)


def check_member_ids(member_ids: Iterable[str]) -> tuple[str, ...]:
    """The distinct ids in their order.

    Raises:
        InvalidArgument: too many for one call, or one is no user id.
    """
    distinct = tuple(dict.fromkeys(member_ids))
    if len(distinct) > limits.MEMBERS_PER_CALL:
        raise invalid(f"memberIds names more than {limits.MEMBERS_PER_CALL} users")
    for member_id in distinct:
        check_user_id(member_id, "memberIds")
    return distinct


def price_of(user_ids: Iterable[str]) -> int:
    """What it costs to change the membership of these users: 1 each, and 1 more for each 128 bytes of an id.

    An id may have 512 bytes, and stands in documents, keys, events and lists wherever its user is.
    """
    return sum(1 + len(user_id.encode()) // _BYTES_PER_PRICE for user_id in user_ids)


def check_is_group(kind: ChatKind) -> None:
    """Only groups have members that come and go.

    Raises:
        FailedPrecondition: it is a direct chat.
    """
    if kind is not ChatKind.GROUP:
        raise FailedPrecondition(
            ErrorReason.ERROR_REASON_WRONG_CHAT_TYPE, "a direct chat has the same two users for ever"
        )


def check_may_change_members(role: Role, *, invites: bool = False) -> None:
    """Admins may; members may where the group lets them invite.

    Raises:
        PermissionDenied: the role does not suffice.
    """
    if role is not Role.ADMIN and not (invites and role is Role.MEMBER):
        raise PermissionDenied(
            ErrorReason.ERROR_REASON_NOT_AN_ADMIN, "only an admin of the group may do this"
        )
