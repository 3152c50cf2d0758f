"""PersistService: checks a request, calls one use case (or one store, where there is no rule), encodes."""

from dataclasses import dataclass
from typing import Any

import grpc

from contract.names import MAX_NAME_LENGTH
from mesh.clock import now_ms
from mesh.ids import is_object_id
from parley.persist.v1 import persist_service_pb2 as pb
from parley.persist.v1 import persist_service_pb2_grpc
from persist_service.codec import (
    attention_to_proto,
    chat_to_proto,
    found_send_to_proto,
    head_to_proto,
    member_to_proto,
    membership_to_proto,
    role_filter,
)
from persist_service.domain.chats import Member, NewGroup, Role
from persist_service.domain.log import SendKey
from persist_service.errors import ChatNotFound, MessageNotFound
from persist_service.ports import Barrier
from persist_service.rpc import checks, cursors
from persist_service.rpc.chat_lists import CHATS_PER_PAGE, list_chats
from persist_service.stores.all_stores import Stores
from persist_service.use_cases import history
from persist_service.use_cases.attention import get_attention
from persist_service.use_cases.groups import Groups

Context = grpc.aio.ServicerContext[Any, Any]

_LAST_MS = 253_402_300_799_999  # the end of the year 9999
_LAST_SEQ = 2**63 - 1
_ANSWER_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistRpc(persist_service_pb2_grpc.PersistServiceServicer):
    """The methods of the contract; what they promise stands there."""

    stores: Stores
    groups: Groups
    barrier: Barrier

    async def UpsertUser(self, request: pb.UpsertUserRequest, context: Context) -> pb.UpsertUserResponse:
        """Records a user."""
        name = checks.text_within(request.name, "name", 0, MAX_NAME_LENGTH)
        revoked_before_ms = await self.stores.users.upsert(checks.user_id(request.user_id), name)
        return pb.UpsertUserResponse(revoked_before_ms=revoked_before_ms)

    async def SetLastSeen(self, request: pb.SetLastSeenRequest, context: Context) -> pb.SetLastSeenResponse:
        """Records when a user was last online."""
        at_ms = checks.number_within(request.last_seen_ms, "last_seen_ms", 1, _LAST_MS)
        await self.stores.users.seen(checks.user_id(request.user_id), at_ms)
        return pb.SetLastSeenResponse()

    async def GetUserNames(
        self, request: pb.GetUserNamesRequest, context: Context
    ) -> pb.GetUserNamesResponse:
        """Tells users' names."""
        checks.count_within(request.user_ids, "user_ids", 1, 1_000)
        names = await self.stores.users.names(set(request.user_ids))
        return pb.GetUserNamesResponse(names=[names.get(user_id, "") for user_id in request.user_ids])

    async def RevokeTokens(
        self, request: pb.RevokeTokensRequest, context: Context
    ) -> pb.RevokeTokensResponse:
        """Records that tokens are revoked."""
        before_ms = checks.number_within(request.before_ms, "before_ms", 1, _LAST_MS)
        await self.stores.users.revoke(checks.user_id(request.user_id), before_ms)
        return pb.RevokeTokensResponse()

    async def GetRevocations(
        self, request: pb.GetRevocationsRequest, context: Context
    ) -> pb.GetRevocationsResponse:
        """Tells since when tokens are good."""
        checks.count_within(request.user_ids, "user_ids", 1, 1_000)
        known = await self.stores.users.revocations(set(request.user_ids))
        return pb.GetRevocationsResponse(
            revoked_before_ms=[known.get(user_id, 0) for user_id in request.user_ids]
        )

    async def CreateDirectChat(
        self, request: pb.CreateDirectChatRequest, context: Context
    ) -> pb.CreateDirectChatResponse:
        """Makes or finds a direct chat."""
        user_id, peer_id = checks.user_id(request.user_id), checks.user_id(request.peer_id, "peer_id")
        checks.different(user_id, peer_id, "user_id and peer_id")
        chat, created = await self.groups.create_direct(user_id, peer_id)
        return pb.CreateDirectChatResponse(chat=chat_to_proto(chat), created=created)

    async def CreateGroup(self, request: pb.CreateGroupRequest, context: Context) -> pb.CreateGroupResponse:
        """Makes a group."""
        maker = checks.user_id(request.user_id)
        others = checks.user_ids(request.member_ids, "member_ids", 0, 100)
        joined_at = now_ms()
        group = NewGroup(
            chat_id=checks.chat_id(request.chat_id),
            name=checks.text_within(request.name, "name", 1, 100),
            description=checks.text_within(request.description, "description", 0, 1_000),
            avatar=checks.text_within(request.avatar, "avatar", 0, 500),
            is_public=request.settings.is_public,
            allow_invites=request.settings.allow_invites,
            members=(
                Member(maker, Role.ADMIN, joined_at),
                *(Member(other, Role.MEMBER, joined_at) for other in others if other != maker),
            ),
        )
        chat = await self.groups.create(group, strangers_limited=request.strangers_limited)
        return pb.CreateGroupResponse(chat=chat_to_proto(chat))

    async def AddMembers(self, request: pb.AddMembersRequest, context: Context) -> pb.AddMembersResponse:
        """Adds members to a group."""
        chat, added = await self.groups.add_members(
            checks.chat_id(request.chat_id),
            checks.user_ids(request.member_ids, "member_ids", 1, 100),
            request.added_by_id and checks.user_id(request.added_by_id, "added_by_id"),
        )
        return pb.AddMembersResponse(chat=chat_to_proto(chat), added=map(member_to_proto, added))

    async def RemoveMember(
        self, request: pb.RemoveMemberRequest, context: Context
    ) -> pb.RemoveMemberResponse:
        """Removes a member from a group."""
        removed, promoted_id = await self.groups.remove_member(
            checks.chat_id(request.chat_id),
            checks.user_id(request.user_id),
            promote_successor=request.promote_successor,
        )
        return pb.RemoveMemberResponse(removed=removed, promoted_id=promoted_id)

    async def GetChat(self, request: pb.GetChatRequest, context: Context) -> pb.GetChatResponse:
        """Shows a chat."""
        chat = await self.stores.chats.find(checks.chat_id(request.chat_id))
        if chat is None:
            raise ChatNotFound
        return pb.GetChatResponse(chat=chat_to_proto(chat))

    async def GetChats(self, request: pb.GetChatsRequest, context: Context) -> pb.GetChatsResponse:
        """Shows some chats."""
        checks.count_within(request.chat_ids, "chat_ids", 1, 100)
        found = await self.stores.chats.find_many(
            {chat_id for chat_id in request.chat_ids if is_object_id(chat_id)}
        )
        return pb.GetChatsResponse(chats=map(chat_to_proto, found.values()))

    async def ListMembers(self, request: pb.ListMembersRequest, context: Context) -> pb.ListMembersResponse:
        """Lists members."""
        members, following = await self.stores.memberships.page(
            checks.chat_id(request.chat_id),
            checks.number_within(request.limit, "limit", 1, 100),
            after=cursors.member_cursor(request.cursor),
            role=role_filter(request.role),
        )
        return pb.ListMembersResponse(
            members=map(member_to_proto, members), next_cursor=cursors.member_cursor_text(following)
        )

    async def GetMemberships(
        self, request: pb.GetMembershipsRequest, context: Context
    ) -> pb.GetMembershipsResponse:
        """Tells memberships. An id that is none names no chat, so the role is NONE."""
        checks.count_within(request.queries, "queries", 1, 1_000)
        asked = [(query.chat_id, query.user_id) for query in request.queries]
        possible = sorted({question for question in asked if is_object_id(question[0])})
        known = dict(zip(possible, await self.stores.memberships.find_many(possible), strict=True))
        return pb.GetMembershipsResponse(memberships=[membership_to_proto(known.get(one)) for one in asked])

    async def RebuildHeads(
        self, request: pb.RebuildHeadsRequest, context: Context
    ) -> pb.RebuildHeadsResponse:
        """Begins new epochs of logs."""
        checks.count_within(request.chat_ids, "chat_ids", 1, 1_000)
        heads = await history.rebuild_heads(
            self.stores,
            self.barrier,
            {chat_id for chat_id in request.chat_ids if is_object_id(chat_id)},
        )
        return pb.RebuildHeadsResponse(heads=[head_to_proto(*head) for head in heads])

    async def ListChats(self, request: pb.ListChatsRequest, context: Context) -> pb.ListChatsResponse:
        """Lists a user's chats."""
        limit = checks.number_within(request.limit, "limit", 1, CHATS_PER_PAGE)
        cursor = cursors.list_cursor(request.cursor)
        user_id = checks.user_id(request.user_id)
        return await list_chats(self.stores, user_id, limit, cursor, fresh=request.fresh)

    async def ListMessages(
        self, request: pb.ListMessagesRequest, context: Context
    ) -> pb.ListMessagesResponse:
        """Pages backwards through stored messages."""
        found = await history.list_messages(
            self.stores,
            checks.chat_id(request.chat_id),
            limit=checks.number_within(request.limit, "limit", 1, 101),
            before_seq=checks.number_within(request.before_seq, "before_seq", 0, _LAST_SEQ),
            before_number=checks.number_within(request.before_number, "before_number", 0, _LAST_SEQ),
        )
        return pb.ListMessagesResponse(messages=found)

    async def ListEntries(self, request: pb.ListEntriesRequest, context: Context) -> pb.ListEntriesResponse:
        """Reads stored log entries forward."""
        found = await history.list_entries(
            self.stores,
            checks.chat_id(request.chat_id),
            after_seq=checks.number_within(request.after_seq, "after_seq", 0, _LAST_SEQ),
            limit=checks.number_within(request.limit, "limit", 1, 501),
        )
        answer = pb.ListEntriesResponse()
        size = 0
        for entry in found:
            size += entry.ByteSize()
            if answer.entries and size > _ANSWER_BYTES:
                break
            answer.entries.append(entry)
        return answer

    async def FindSends(self, request: pb.FindSendsRequest, context: Context) -> pb.FindSendsResponse:
        """Finds stored sends."""
        checks.count_within(request.keys, "keys", 1, 64)
        keys = [
            SendKey(
                checks.chat_id(key.chat_id), checks.user_id(key.sender_id, "sender_id"), key.client_msg_id
            )
            for key in request.keys
        ]
        found = await self.stores.messages.find_sends(keys)
        return pb.FindSendsResponse(sends=map(found_send_to_proto, found))

    async def GetMessage(self, request: pb.GetMessageRequest, context: Context) -> pb.GetMessageResponse:
        """Shows one stored message."""
        chat_id = checks.chat_id(request.chat_id)
        message = await self.stores.messages.find(chat_id, checks.chat_id(request.message_id, "message_id"))
        if message is None:
            raise MessageNotFound
        return pb.GetMessageResponse(message=message)

    async def ListPointers(
        self, request: pb.ListPointersRequest, context: Context
    ) -> pb.ListPointersResponse:
        """Tells the listed members' pointers."""
        pointers, member_count = await history.list_pointers(self.stores, checks.chat_id(request.chat_id))
        return pb.ListPointersResponse(
            pointers=(
                pb.MemberPointers(
                    user_id=pointer.user_id,
                    read_seq=pointer.read_seq,
                    read_number=pointer.read_number,
                    read_at_ms=pointer.at_ms,
                    delivered_seq=pointer.delivered_seq,
                )
                for pointer in pointers
            ),
            member_count=member_count,
        )

    async def GetAttention(
        self, request: pb.GetAttentionRequest, context: Context
    ) -> pb.GetAttentionResponse:
        """Tells what members know by now."""
        checks.count_within(request.queries, "queries", 1, 500)
        checks.count_within(request.messages, "messages", 0, 2_000)
        attentions, deleted = await get_attention(
            self.stores,
            [(query.chat_id, query.user_id) for query in request.queries],
            {(key.chat_id, key.message_id) for key in request.messages},
        )
        return pb.GetAttentionResponse(
            attentions=map(attention_to_proto, attentions), deleted_message_ids=sorted(deleted)
        )

    async def GetLastActive(
        self, request: pb.GetLastActiveRequest, context: Context
    ) -> pb.GetLastActiveResponse:
        """Tells when users last did something."""
        checks.count_within(request.user_ids, "user_ids", 1, 1_000)
        active = await self.stores.presence.known_activity(set(request.user_ids))
        whole = {user_id: activity.last_ms for user_id, activity in active.items() if not activity.partial}
        return pb.GetLastActiveResponse(
            last_active_ms=[whole.get(user_id, 0) for user_id in request.user_ids]
        )

    async def GetUnreadTotals(
        self, request: pb.GetUnreadTotalsRequest, context: Context
    ) -> pb.GetUnreadTotalsResponse:
        """Tells how many messages users have not read."""
        checks.count_within(request.queries, "queries", 1, 500)
        without = {query.user_id: query.without_chat_ids for query in request.queries}
        left_out = [chat_id for query in request.queries for chat_id in query.without_chat_ids]
        checks.count_within(left_out, "without_chat_ids", 0, 10_000)
        totals = await self.stores.memberships.unread_totals(
            {user_id: set(filter(is_object_id, chat_ids)) for user_id, chat_ids in without.items()}
        )
        return pb.GetUnreadTotalsResponse(totals=[totals.get(query.user_id, 0) for query in request.queries])
