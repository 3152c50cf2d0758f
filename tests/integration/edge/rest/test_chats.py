"""Chats, groups, members and history: what is asked of chat_service, and what clients see of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.chat_pb2 import Chat, ChatType, GroupSettings, LatestMessage, Member, Role
from parley.common.v1.message_pb2 import Message, MessageStatus, MessageType, ReadReceipt

if TYPE_CHECKING:
    from tests.integration.edge.rest.api import Api
    from tests.integration.edge.rest.conftest import ScriptedChat

CHAT_ID = "6561a0b1c2d3e4f506172839"
DIRECT = Chat(
    id=CHAT_ID,
    type=ChatType.CHAT_TYPE_DIRECT,
    members=[Member(user_id=user, role=Role.ROLE_MEMBER, joined_at_ms=1) for user in ("ada", "bob")],
    member_count=2,
    latest_message=LatestMessage(
        text="hi", sender_id="bob", timestamp_ms=1_700_000_000_123, seq=7, type=MessageType.MESSAGE_TYPE_TEXT
    ),
    created_at_ms=0,
    updated_at_ms=1_700_000_000_123,
    seq=8,
    epoch=1,
    unread=3,
    role=Role.ROLE_MEMBER,
    online_user_ids=["bob"],
)
DIRECT_JSON = {
    "type": "direct",
    "id": CHAT_ID,
    "users": ["ada", "bob"],
    "latestMessage": {
        "text": "hi",
        "type": "text",
        "sender": "bob",
        "timestamp": "2023-11-14T22:13:20.123Z",
        "seq": 7,
    },
    "createdAt": "1970-01-01T00:00:00.000Z",
    "updatedAt": "2023-11-14T22:13:20.123Z",
    "unread": 3,
    "seq": 8,
    "epoch": 1,
    "role": "member",
    "onlineUserIds": ["bob"],
}
GROUP = Chat(
    id=CHAT_ID,
    type=ChatType.CHAT_TYPE_GROUP,
    members=[
        Member(user_id="ada", role=Role.ROLE_ADMIN, joined_at_ms=1000),
        Member(user_id="bob", role=Role.ROLE_MEMBER, joined_at_ms=2000),
    ],
    member_count=150,
    created_at_ms=1000,
    updated_at_ms=2000,
    name="Team",
    description="All of us",
    avatar="https://img.example/1",
    settings=GroupSettings(is_public=True),
    created_by="ada",
    owner_id="ada",
    seq=2,
    epoch=1,
    role=Role.ROLE_ADMIN,
)
ADMINS_JSON = [{"userId": "ada", "role": "admin", "joinedAt": "1970-01-01T00:00:01.000Z"}]
GROUP_JSON = {
    "type": "group",
    "id": CHAT_ID,
    "users": ["ada", "bob"],
    "latestMessage": None,
    "createdAt": "1970-01-01T00:00:01.000Z",
    "updatedAt": "1970-01-01T00:00:02.000Z",
    "unread": 0,
    "seq": 2,
    "epoch": 1,
    "role": "admin",
    "name": "Team",
    "description": "All of us",
    "avatar": "https://img.example/1",
    "createdBy": "ada",
    "admin": "ada",
    "members": [
        *ADMINS_JSON,
        {"userId": "bob", "role": "member", "joinedAt": "1970-01-01T00:00:02.000Z"},
    ],
    "memberCount": 150,
    "settings": {"isPublic": True, "allowInvites": False},
}


async def test_list_chats(api: Api, chat: ScriptedChat) -> None:
    chat.answers["ListChats"] = pb.ListChatsResponse(chats=[DIRECT, GROUP])
    response = await api.call("listChats")
    assert response.status_code == 200
    assert response.json() == {"chats": [DIRECT_JSON, GROUP_JSON], "nextCursor": None}
    assert chat.requests == [pb.ListChatsRequest(user_id="ada", limit=50)]


async def test_a_list_goes_on_where_its_page_ended(api: Api, chat: ScriptedChat) -> None:
    chat.answers["ListChats"] = pb.ListChatsResponse(next_cursor="o-2-x")
    response = await api.call("listChats", query="?limit=7&cursor=o-1-x")
    assert response.json() == {"chats": [], "nextCursor": "o-2-x"}
    assert chat.requests == [pb.ListChatsRequest(user_id="ada", limit=7, cursor="o-1-x")]


async def test_list_members(api: Api, chat: ScriptedChat) -> None:
    chat.answers["ListMembers"] = pb.ListMembersResponse(members=GROUP.members[:1], next_cursor="m-1")
    response = await api.call("listMembers", query="?role=admin&limit=1&cursor=m-0", chatId=CHAT_ID)
    assert response.status_code == 200
    assert response.json() == {"members": ADMINS_JSON, "nextCursor": "m-1"}
    assert chat.requests == [
        pb.ListMembersRequest(user_id="ada", chat_id=CHAT_ID, role=Role.ROLE_ADMIN, limit=1, cursor="m-0")
    ]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=", f"cursor={'c' * 201}", "role=owner"])
async def test_a_page_of_members_that_cannot_be_is_refused(api: Api, query: str) -> None:
    response = await api.call("listMembers", query=f"?{query}", chatId=CHAT_ID)
    assert response.status_code == 400
    assert query.partition("=")[0] in response.json()["error"]["message"]


@pytest.mark.parametrize(("created", "status"), [(True, 201), (False, 200)])
async def test_create_chat(api: Api, chat: ScriptedChat, created: bool, status: int) -> None:  # noqa: FBT001
    chat.answers["CreateDirectChat"] = pb.CreateDirectChatResponse(chat=DIRECT, created=created)
    response = await api.call("createChat", {"userId": "bob"})
    assert response.status_code == status
    assert response.json() == {"chat": DIRECT_JSON}
    assert chat.requests == [pb.CreateDirectChatRequest(user_id="ada", peer_id="bob")]


async def test_create_group(api: Api, chat: ScriptedChat) -> None:
    chat.answers["CreateGroup"] = pb.CreateGroupResponse(chat=GROUP)
    body = {
        "name": "Team",
        "description": "All of us",
        "memberIds": ["bob", "c/d"],
        "avatar": "x",
        "settings": {"allowInvites": True},
    }
    response = await api.call("createGroup", body)
    assert response.status_code == 201
    assert response.json() == {"group": GROUP_JSON}
    settings = GroupSettings(allow_invites=True)
    assert chat.requests == [
        pb.CreateGroupRequest(
            user_id="ada",
            name="Team",
            description="All of us",
            member_ids=["bob", "c/d"],
            avatar="x",
            settings=settings,
        )
    ]


async def test_create_group_by_name_alone(api: Api, chat: ScriptedChat) -> None:
    chat.answers["CreateGroup"] = pb.CreateGroupResponse(chat=GROUP)
    assert (await api.call("createGroup", {"name": "Team"})).status_code == 201
    assert chat.requests == [pb.CreateGroupRequest(user_id="ada", name="Team", settings=GroupSettings())]


async def test_get_chat(api: Api, chat: ScriptedChat) -> None:
    chat.answers["GetChat"] = pb.GetChatResponse(chat=GROUP)
    assert (await api.call("getChat", chatId=CHAT_ID)).json() == {"chat": GROUP_JSON}
    assert chat.requests == [pb.GetChatRequest(user_id="ada", chat_id=CHAT_ID)]


async def test_history(api: Api, chat: ScriptedChat) -> None:
    message = Message(
        id="6561a0b1c2d3e4f50617283a",
        chat_id=CHAT_ID,
        seq=9,
        number=4,
        sender_id="bob",
        type=MessageType.MESSAGE_TYPE_IMAGE,
        content="https://img.example/2 🙂",
        client_msg_id="m-1",
        created_at_ms=1_700_000_000_000,
        mentions=["ada"],
        status=MessageStatus.MESSAGE_STATUS_READ,
        read_by=[ReadReceipt(user_id="ada", read_at_ms=1_700_000_000_001)],
    )
    chat.answers["ListMessages"] = pb.ListMessagesResponse(messages=[message], has_more=True)
    response = await api.call("listMessages", chatId=CHAT_ID)
    assert response.json() == {
        "messages": [
            {
                "id": "6561a0b1c2d3e4f50617283a",
                "chatId": CHAT_ID,
                "seq": 9,
                "number": 4,
                "senderId": "bob",
                "type": "image",
                "content": "https://img.example/2 🙂",
                "clientMsgId": "m-1",
                "mentions": ["ada"],
                "status": "read",
                "readBy": [{"userId": "ada", "readAt": "2023-11-14T22:13:20.001Z"}],
                "createdAt": "2023-11-14T22:13:20.000Z",
            }
        ],
        "hasMore": True,
    }


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", {"limit": 50}),
        ("?limit=100&before=9007199254740991", {"limit": 100, "before_seq": 2**53 - 1}),
        ("?page=1000", {"limit": 50, "page": 1000}),
        ("?limit=1&unknown=x", {"limit": 1}),
    ],
)
async def test_history_pages(api: Api, chat: ScriptedChat, query: str, asked: dict[str, Any]) -> None:
    chat.answers["ListMessages"] = pb.ListMessagesResponse()
    assert (await api.call("listMessages", chatId=CHAT_ID, query=query)).json()["messages"] == []
    assert chat.requests == [pb.ListMessagesRequest(user_id="ada", chat_id=CHAT_ID, **asked)]


async def test_add_members(api: Api, chat: ScriptedChat) -> None:
    chat.answers["AddMembers"] = pb.AddMembersResponse(chat=GROUP, added_ids=["bob"])
    response = await api.call("addMembers", {"userIds": ["bob", "ada"]}, chatId=CHAT_ID)
    assert response.json() == {"group": GROUP_JSON, "addedIds": ["bob"]}
    assert chat.requests == [pb.AddMembersRequest(user_id="ada", chat_id=CHAT_ID, member_ids=["bob", "ada"])]


@pytest.mark.parametrize("member", ["bob", "a/b ü?#", "me", "..", "%41"])
async def test_remove_member(api: Api, chat: ScriptedChat, member: str) -> None:
    chat.answers["RemoveMember"] = pb.RemoveMemberResponse()
    encoded = "%6De" if member == "me" else quote(member, safe="").replace(".", "%2E")
    response = await api.call("removeMember", chatId=CHAT_ID, userId=encoded)
    assert response.status_code == 204
    assert chat.requests == [pb.RemoveMemberRequest(user_id="ada", chat_id=CHAT_ID, member_id=member)]


@pytest.mark.parametrize("member", ["bob", "a/b ü?#", "me", ".", "..", "%6De", " bob ", "a+b", "a&userId=b"])
async def test_remove_a_member_that_the_query_names(api: Api, chat: ScriptedChat, member: str) -> None:
    chat.answers["RemoveMember"] = pb.RemoveMemberResponse()
    query = "?" + urlencode({"userId": member})
    response = await api.call("removeMemberById", chatId=CHAT_ID, query=query)
    assert response.status_code == 204
    assert chat.requests == [pb.RemoveMemberRequest(user_id="ada", chat_id=CHAT_ID, member_id=member)]


@pytest.mark.parametrize(
    "query", ["", "?userId=", "?userid=bob", "?userId=bob&userId=eve", "?userId=%FF", "?userId=a%00b"]
)
async def test_remove_nobody_whom_the_query_does_not_name(api: Api, chat: ScriptedChat, query: str) -> None:
    response = await api.call("removeMemberById", chatId=CHAT_ID, query=query)
    assert response.status_code == 400
    assert chat.requests == []


async def test_leave(api: Api, chat: ScriptedChat) -> None:
    chat.answers["LeaveChat"] = pb.LeaveChatResponse()
    assert (await api.call("leaveChat", chatId=CHAT_ID)).status_code == 204
    assert chat.requests == [pb.LeaveChatRequest(user_id="ada", chat_id=CHAT_ID)]
