"""The largest request of the contract fits into what its method takes, and no method takes much more."""

from typing import Any, Final

import pytest

from mesh.rpc.messages import DEFAULT_REQUEST_BYTES, request_limit
from parley.chat.v1 import chat_service_pb2 as chat
from parley.common.v1.chat_pb2 import GroupSettings
from parley.common.v1.message_pb2 import Message
from parley.notify.v1 import notify_service_pb2 as notify
from parley.notify.v1 import webhook_service_pb2 as webhooks
from parley.persist.v1 import persist_service_pb2 as persist

USER: Final = "\U0001f600" * 128
ID: Final = "f" * 24
KEY: Final = "k" * 64
FAR: Final = 2**63 - 1
MAX_BYTES: Final = 1 << 20

_SESSION: Final = chat.Session(user_id=USER, connection_id=KEY, token_issued_at_ms=FAR, last_active_ms=FAR)
_QUERY: Final = persist.MembershipQuery(chat_id=ID, user_id=USER)
_USERS: Final[dict[str, Any]] = {"user_ids": [USER] * 500}
_GROUP: Final[dict[str, Any]] = {
    "name": USER[:100],
    "description": USER[:100] * 10,
    "avatar": USER[:100] * 5,
    "member_ids": [USER] * 100,
    "settings": GroupSettings(),
}

LARGEST: Final[dict[str, Any]] = {
    "parley.chat.v1.ChatService/RenewSessions": chat.RenewSessionsRequest(sessions=[_SESSION] * 1000),
    "parley.chat.v1.ChatService/GetPresence": chat.GetPresenceRequest(**_USERS),
    "parley.chat.v1.ChatService/JoinChats": chat.JoinChatsRequest(user_id=USER, chat_ids=[ID] * 1000),
    "parley.chat.v1.ChatService/ReadLog": chat.ReadLogRequest(
        user_id=USER, cursors=[chat.Cursor(chat_id=ID, epoch=FAR, seq=FAR)] * 1000, limit=500
    ),
    "parley.chat.v1.ChatService/MarkDelivered": chat.MarkDeliveredRequest(
        deliveries=[chat.Delivery(user_id=USER, chat_id=ID, message_id=ID, seq=FAR)] * 256
    ),
    "parley.chat.v1.ChatService/CreateGroup": chat.CreateGroupRequest(user_id=USER, **_GROUP),
    "parley.chat.v1.ChatService/AddMembers": chat.AddMembersRequest(
        user_id=USER, chat_id=ID, member_ids=[USER] * 100
    ),
    "parley.persist.v1.PersistService/GetUserNames": persist.GetUserNamesRequest(user_ids=[USER] * 1000),
    "parley.persist.v1.PersistService/GetLastActive": persist.GetLastActiveRequest(user_ids=[USER] * 1000),
    "parley.persist.v1.PersistService/GetRevocations": persist.GetRevocationsRequest(user_ids=[USER] * 1000),
    "parley.persist.v1.PersistService/CreateGroup": persist.CreateGroupRequest(**_GROUP),
    "parley.persist.v1.PersistService/AddMembers": persist.AddMembersRequest(
        chat_id=ID, member_ids=[USER] * 100
    ),
    "parley.persist.v1.PersistService/GetMemberships": persist.GetMembershipsRequest(queries=[_QUERY] * 1000),
    "parley.persist.v1.PersistService/RebuildHeads": persist.RebuildHeadsRequest(chat_ids=[ID] * 1000),
    "parley.persist.v1.PersistService/FindSends": persist.FindSendsRequest(
        keys=[persist.SendKey(chat_id=ID, sender_id=USER, client_msg_id=KEY)] * 64
    ),
    "parley.persist.v1.PersistService/GetAttention": persist.GetAttentionRequest(
        queries=[_QUERY] * 500, messages=[persist.MessageKey(chat_id=ID, message_id=ID)] * 2000
    ),
    "parley.persist.v1.PersistService/GetUnreadTotals": persist.GetUnreadTotalsRequest(
        queries=[persist.UnreadTotalQuery(user_id=USER, without_chat_ids=[ID] * 20)] * 500
    ),
    "parley.notify.v1.NotifyService/RegisterDevice": notify.RegisterDeviceRequest(
        user_id=USER, address="x" * 4096, label=USER[:100]
    ),
}

METHODS: Final = sorted(
    f"{service.full_name}/{name}"
    for file in (chat, persist, notify, webhooks)
    for service in file.DESCRIPTOR.services_by_name.values()
    for name in service.methods_by_name
)


@pytest.mark.parametrize("method", LARGEST)
def test_the_largest_request_fits(method: str) -> None:
    assert method in METHODS
    assert LARGEST[method].ByteSize() <= request_limit(method)


@pytest.mark.parametrize("content_limit", [4_096, 100_000])
def test_a_message_of_any_setting_fits(content_limit: int) -> None:
    message = Message(
        sender_id=USER,
        chat_id=ID,
        content="\U0001f600" * content_limit,
        client_msg_id=KEY,
        mentions=[USER] * 50,
    )
    item = chat.SendItem(message=message, traceparent="0" * 55)
    request = chat.SendMessagesRequest(items=[item])
    assert request.ByteSize() <= request_limit("parley.chat.v1.ChatService/SendMessages")


@pytest.mark.parametrize("method", METHODS)
def test_no_method_takes_more_than_it_needs(method: str) -> None:
    limit = request_limit(method)
    assert limit <= MAX_BYTES
    if limit > DEFAULT_REQUEST_BYTES and method in LARGEST:
        assert limit <= 2 * LARGEST[method].ByteSize()
