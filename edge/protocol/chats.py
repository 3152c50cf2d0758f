"""Chats as clients are shown them, in REST answers and WebSocket frames alike. No I/O."""

from mesh.clock import to_rfc3339
from parley.common.v1 import chat_pb2
from parley.common.v1.chat_pb2 import ChatType
from parley.edge.v1.conversions import (
    ROLE_NAMES,
    group_settings_from_pb,
    latest_message_from_pb,
    member_from_pb,
)
from parley.edge.v1.frames import Chat, DirectChat, GroupChat, LatestMessage


def chat_json(chat: chat_pb2.Chat) -> Chat:
    """The chat as the user it was loaded for sees it."""
    if chat.type == ChatType.CHAT_TYPE_DIRECT:
        return DirectChat(
            id=chat.id,
            users=[member.user_id for member in chat.members],
            latest_message=_latest_json(chat),
            created_at=to_rfc3339(chat.created_at_ms),
            updated_at=to_rfc3339(chat.updated_at_ms),
            unread=chat.unread,
            seq=chat.seq,
            epoch=chat.epoch,
            role=ROLE_NAMES.get(chat.role, "member"),
            online_user_ids=list(chat.online_user_ids),
        )
    return group_json(chat)


def group_json(chat: chat_pb2.Chat) -> GroupChat:
    """The same for a chat that is known to be a group."""
    return GroupChat(
        id=chat.id,
        users=[member.user_id for member in chat.members],
        latest_message=_latest_json(chat),
        created_at=to_rfc3339(chat.created_at_ms),
        updated_at=to_rfc3339(chat.updated_at_ms),
        unread=chat.unread,
        seq=chat.seq,
        epoch=chat.epoch,
        role=ROLE_NAMES.get(chat.role, "member"),
        name=chat.name,
        description=chat.description,
        avatar=chat.avatar,
        created_by=chat.created_by,
        owner_id=chat.owner_id,
        members=[member_from_pb(member) for member in chat.members],
        member_count=chat.member_count,
        settings=group_settings_from_pb(chat.settings),
    )


def _latest_json(chat: chat_pb2.Chat) -> LatestMessage | None:
    return latest_message_from_pb(chat.latest_message) if chat.HasField("latest_message") else None
