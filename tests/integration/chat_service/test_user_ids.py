"""No call takes what is no id of a user."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mesh.errors import InvalidArgument
from parley.chat.v1 import chat_service_pb2 as pb
from tests.integration.chat_service.scaffold import World

CHAT = "65a1b2c3d4e5f60718293a4b"
CALLS: dict[str, Callable[[Any, str], Awaitable[object]]] = {
    "ListSessions": lambda chat, user: chat.ListSessions(pb.ListSessionsRequest(user_id=user)),
    "CheckRevocation": lambda chat, user: chat.CheckRevocation(pb.CheckRevocationRequest(user_id=user)),
    "RevokeSessions": lambda chat, user: chat.RevokeSessions(pb.RevokeSessionsRequest(user_id=user)),
    "OpenSession": lambda chat, user: chat.OpenSession(
        pb.OpenSessionRequest(user_id=user, connection_id="c")
    ),
    "GetPresence": lambda chat, user: chat.GetPresence(pb.GetPresenceRequest(user_ids=["ada", user])),
    "JoinChats": lambda chat, user: chat.JoinChats(pb.JoinChatsRequest(user_id=user, chat_ids=[CHAT])),
    "ReadLog": lambda chat, user: chat.ReadLog(
        pb.ReadLogRequest(user_id=user, cursors=[pb.Cursor(chat_id=CHAT)])
    ),
    "SetTyping": lambda chat, user: chat.SetTyping(pb.SetTypingRequest(user_id=user, chat_id=CHAT)),
    "MarkRead": lambda chat, user: chat.MarkRead(pb.MarkReadRequest(user_id=user, chat_id=CHAT)),
    "ListChats": lambda chat, user: chat.ListChats(pb.ListChatsRequest(user_id=user)),
    "GetChat": lambda chat, user: chat.GetChat(pb.GetChatRequest(user_id=user, chat_id=CHAT)),
    "ListMembers": lambda chat, user: chat.ListMembers(pb.ListMembersRequest(user_id=user, chat_id=CHAT)),
    "ListMessages": lambda chat, user: chat.ListMessages(pb.ListMessagesRequest(user_id=user, chat_id=CHAT)),
    "CreateDirectChat": lambda chat, user: chat.CreateDirectChat(
        pb.CreateDirectChatRequest(user_id="ada", peer_id=user)
    ),
    "CreateGroup": lambda chat, user: chat.CreateGroup(pb.CreateGroupRequest(user_id=user, name="Crew")),
    "AddMembers": lambda chat, user: chat.AddMembers(
        pb.AddMembersRequest(user_id=user, chat_id=CHAT, member_ids=["ada"])
    ),
    "RemoveMember": lambda chat, user: chat.RemoveMember(
        pb.RemoveMemberRequest(user_id=user, chat_id=CHAT, member_id="ada")
    ),
    "LeaveChat": lambda chat, user: chat.LeaveChat(pb.LeaveChatRequest(user_id=user, chat_id=CHAT)),
}


@pytest.mark.parametrize("user_id", ["", "x" * 129, "a\nb", "\u200b", "a\u202eb"], ids=ascii)
async def test_no_call_takes_what_is_no_user_id(world: World, user_id: str) -> None:
    taken = []
    for name, call in CALLS.items():
        try:
            await call(world.chat, user_id)
            taken.append(name)
        except InvalidArgument:
            continue
    assert taken == []
