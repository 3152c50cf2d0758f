"""``Store`` on persist_service."""

from collections.abc import Mapping, Sequence
from typing import Final

from typing_extensions import override

from chat_service import event_codec, proto_codec
from chat_service.domain.model import (
    Chat,
    FoundSend,
    Group,
    MemberPage,
    MemberPointers,
    Membership,
    ReadPointer,
    Role,
    Send,
    StoredHead,
    UserChat,
    UserChats,
)
from chat_service.domain.resume import Entry, Window
from chat_service.ports.store import Store
from parley.common.v1.message_pb2 import Message
from parley.persist.v1 import persist_service_pb2 as pb
from parley.persist.v1.persist_service_pb2_grpc import PersistServiceStub

IDEMPOTENT_CALLS: Final = tuple(
    f"parley.persist.v1.PersistService/{method.name}"
    for method in pb.DESCRIPTOR.services_by_name["PersistService"].methods
    if method.name != "RebuildHeads"
)
"""What gRPC may repeat: all of it, as the proto says of each call; but a new epoch of a log is begun once."""


# Receipts are shown where they are at hand: nobody should wait long for a page of messages because of them.
_COURTESY_SECONDS: Final = 1.0


class PersistStore(Store):
    """The ``Store`` port. The channel behind the stub brings deadlines, retries and typed errors."""

    def __init__(self, stub: PersistServiceStub) -> None:
        self._stub = stub

    @override
    async def upsert_user(self, user_id: str, name: str) -> int:
        answer = await self._stub.UpsertUser(pb.UpsertUserRequest(user_id=user_id, name=name))
        return answer.revoked_before_ms

    @override
    async def revoke_tokens(self, user_id: str, before_ms: int) -> None:
        await self._stub.RevokeTokens(pb.RevokeTokensRequest(user_id=user_id, before_ms=before_ms))

    @override
    async def revocations(self, user_ids: Sequence[str]) -> Mapping[str, int]:
        answer = await self._stub.GetRevocations(pb.GetRevocationsRequest(user_ids=user_ids))
        return dict(zip(user_ids, answer.revoked_before_ms, strict=True))

    @override
    async def set_last_seen(self, user_id: str, last_seen_ms: int) -> None:
        await self._stub.SetLastSeen(pb.SetLastSeenRequest(user_id=user_id, last_seen_ms=last_seen_ms))

    @override
    async def create_direct(self, user_id: str, peer_id: str) -> tuple[Chat, bool]:
        answer = await self._stub.CreateDirectChat(
            pb.CreateDirectChatRequest(user_id=user_id, peer_id=peer_id)
        )
        return proto_codec.chat(answer.chat), answer.created

    @override
    async def create_group(
        self, chat_id: str, user_id: str, group: Group, *, strangers_limited: bool
    ) -> Chat:
        answer = await self._stub.CreateGroup(
            pb.CreateGroupRequest(
                chat_id=chat_id,
                user_id=user_id,
                name=group.name,
                description=group.description,
                member_ids=group.member_ids,
                avatar=group.avatar,
                settings=proto_codec.settings_pb(group.settings),
                strangers_limited=strangers_limited,
            )
        )
        return proto_codec.chat(answer.chat)

    @override
    async def add_members(self, chat_id: str, member_ids: Sequence[str], added_by_id: str = "") -> Chat:
        answer = await self._stub.AddMembers(
            pb.AddMembersRequest(chat_id=chat_id, member_ids=member_ids, added_by_id=added_by_id)
        )
        return proto_codec.chat(answer.chat)

    @override
    async def remove_member(self, chat_id: str, user_id: str, *, promote_successor: bool) -> str:
        answer = await self._stub.RemoveMember(
            pb.RemoveMemberRequest(chat_id=chat_id, user_id=user_id, promote_successor=promote_successor)
        )
        return answer.promoted_id

    @override
    async def get_chat(self, chat_id: str) -> Chat:
        answer = await self._stub.GetChat(pb.GetChatRequest(chat_id=chat_id))
        return proto_codec.chat(answer.chat)

    @override
    async def get_chats(self, chat_ids: Sequence[str]) -> Mapping[str, Chat]:
        answer = await self._stub.GetChats(pb.GetChatsRequest(chat_ids=chat_ids))
        return {item.id: proto_codec.chat(item) for item in answer.chats}

    @override
    async def list_members(self, chat_id: str, role: Role | None, limit: int, cursor: str) -> MemberPage:
        answer = await self._stub.ListMembers(
            pb.ListMembersRequest(
                chat_id=chat_id, role=proto_codec.role_filter_pb(role), limit=limit, cursor=cursor
            )
        )
        return MemberPage(tuple(map(proto_codec.member, answer.members)), answer.next_cursor)

    @override
    async def memberships(self, pairs: Sequence[tuple[str, str]]) -> list[Membership]:
        answer = await self._stub.GetMemberships(
            pb.GetMembershipsRequest(
                queries=[pb.MembershipQuery(chat_id=chat_id, user_id=user_id) for chat_id, user_id in pairs]
            )
        )
        return [
            Membership(proto_codec.role(item.role), ReadPointer(item.read_seq, item.read_number))
            for item in answer.memberships
        ]

    @override
    async def rebuild_heads(self, chat_ids: Sequence[str]) -> Mapping[str, StoredHead]:
        answer = await self._stub.RebuildHeads(pb.RebuildHeadsRequest(chat_ids=chat_ids))
        return {
            head.chat_id: StoredHead(head.epoch, head.seq, head.number, head.member_count)
            for head in answer.heads
        }

    @override
    async def list_chats(
        self, user_id: str, limit: int, cursor: str = "", *, fresh: bool = False
    ) -> UserChats:
        answer = await self._stub.ListChats(
            pb.ListChatsRequest(user_id=user_id, limit=limit, cursor=cursor, fresh=fresh)
        )
        chats = (
            UserChat(
                item.chat_id,
                proto_codec.kind(item.type),
                item.member_count,
                proto_codec.role(item.role),
                ReadPointer(item.read_seq, item.read_number),
                item.last_number,
            )
            for item in answer.chats
        )
        return UserChats(tuple(chats), answer.next_cursor)

    @override
    async def list_messages(
        self, chat_id: str, limit: int, *, before_seq: int = 0, before_number: int = 0
    ) -> list[Message]:
        answer = await self._stub.ListMessages(
            pb.ListMessagesRequest(
                chat_id=chat_id, limit=limit, before_seq=before_seq, before_number=before_number
            )
        )
        return list(answer.messages)

    @override
    async def list_entries(self, window: Window) -> list[Entry]:
        answer = await self._stub.ListEntries(
            pb.ListEntriesRequest(chat_id=window.chat_id, after_seq=window.after_seq, limit=window.size)
        )
        return list(map(event_codec.stored_entry, answer.entries))

    @override
    async def find_sends(self, sends: Sequence[Send]) -> list[FoundSend | None]:
        answer = await self._stub.FindSends(
            pb.FindSendsRequest(
                keys=[
                    pb.SendKey(
                        chat_id=message.chat_id,
                        sender_id=message.sender_id,
                        client_msg_id=message.client_msg_id,
                    )
                    for message in (send.event.message for send in sends)
                ]
            )
        )
        return [
            FoundSend(found.message, found.epoch) if found.HasField("message") else None
            for found in answer.sends
        ]

    @override
    async def get_message(self, chat_id: str, message_id: str) -> Message:
        answer = await self._stub.GetMessage(pb.GetMessageRequest(chat_id=chat_id, message_id=message_id))
        return answer.message

    @override
    async def pointers(self, chat_id: str) -> list[MemberPointers]:
        answer = await self._stub.ListPointers(
            pb.ListPointersRequest(chat_id=chat_id), timeout=_COURTESY_SECONDS
        )
        return [
            MemberPointers(
                item.user_id,
                ReadPointer(item.read_seq, item.read_number, item.read_at_ms),
                item.delivered_seq,
            )
            for item in answer.pointers
        ]
