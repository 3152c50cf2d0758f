"""``ChatService``: each method turns a request into values, runs one use case, and turns the result back."""

from dataclasses import dataclass
from typing import Protocol

from chat_service import proto_codec
from chat_service.domain import events, rules
from chat_service.domain.model import Delivery, Group, MembershipState, Send, Session
from chat_service.domain.resume import Cursor, Slice
from chat_service.metrics import SEND_BATCH_SIZE
from chat_service.ports.sessions import Presence
from chat_service.use_cases.add_members import AddMembers
from chat_service.use_cases.create_direct_chat import CreateDirectChat
from chat_service.use_cases.create_group import CreateGroup
from chat_service.use_cases.join_chats import JoinChats
from chat_service.use_cases.list_messages import ListMessages
from chat_service.use_cases.mark_delivered import MarkDelivered
from chat_service.use_cases.mark_read import MarkRead
from chat_service.use_cases.open_session import OpenSession
from chat_service.use_cases.read_log import ReadLog
from chat_service.use_cases.remove_member import RemoveMember
from chat_service.use_cases.renew_sessions import RenewSessions
from chat_service.use_cases.revocation_check import RevocationCheck
from chat_service.use_cases.revoke_sessions import RevokeSessions
from chat_service.use_cases.send_messages import SendMessages
from chat_service.use_cases.set_typing import SetTyping
from chat_service.use_cases.views import ChatViews
from contract import limits
from mesh import tracing
from mesh.clock import now_ms
from mesh.errors import InvalidArgument, ParleyError, to_item_error
from mesh.rpc.handlers import Context, current_caller
from parley.chat.v1 import chat_service_pb2 as pb
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceServicer
from parley.common.v1.chat_pb2 import ChatHead
from parley.common.v1.error_pb2 import ErrorReason
from parley.events.v1.chat_event_pb2 import ChatEvent

SEND_LIMIT = 64
RENEW_LIMIT = 1_000
DELIVERY_LIMIT = 256
PRESENCE_LIMIT = 500
_EDGE = "edge"


class _OfUser(Protocol):
    """A request in a user's name."""

    @property
    def user_id(self) -> str:
        """Whose."""


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the servicer serves."""

    send_messages: SendMessages
    open_session: OpenSession
    renew_sessions: RenewSessions
    revoke_sessions: RevokeSessions
    revoked: RevocationCheck
    presence: Presence
    join_chats: JoinChats
    read_log: ReadLog
    views: ChatViews
    set_typing: SetTyping
    mark_read: MarkRead
    mark_delivered: MarkDelivered
    list_messages: ListMessages
    create_direct_chat: CreateDirectChat
    create_group: CreateGroup
    add_members: AddMembers
    remove_member: RemoveMember


class ChatRpc(ChatServiceServicer):
    """The gRPC face of the service. Errors are raised as ``ParleyError``; mesh turns them into statuses."""

    def __init__(self, use_cases: UseCases) -> None:
        self._do = use_cases

    async def SendMessages(
        self, request: pb.SendMessagesRequest, context: Context
    ) -> pb.SendMessagesResponse:
        """See the proto, here and below."""
        _check_count("items", len(request.items), SEND_LIMIT)
        SEND_BATCH_SIZE.observe(len(request.items))
        at_ms, traceparent = now_ms(), _trace_of_call()
        answers = await self._do.send_messages([_send(item, at_ms, traceparent) for item in request.items])
        response = pb.SendMessagesResponse()
        for answer in answers:
            _set_result(response.results.add(), answer)
        return response

    async def OpenSession(self, request: pb.OpenSessionRequest, context: Context) -> pb.OpenSessionResponse:
        """See the proto."""
        session = Session(
            request.user_id,
            request.connection_id,
            request.token_issued_at_ms,
            request.last_active_ms or now_ms(),
            rules.check_edge_id(request.edge_id),
        )
        chat_ids, next_cursor = await self._do.open_session(session, request.user_name)
        return pb.OpenSessionResponse(chat_ids=chat_ids, next_cursor=next_cursor)

    async def RenewSessions(
        self, request: pb.RenewSessionsRequest, context: Context
    ) -> pb.RenewSessionsResponse:
        """See the proto."""
        edge_id = rules.check_edge_id(request.edge_id)
        if request.sessions or not edge_id:
            _check_count("sessions", len(request.sessions), RENEW_LIMIT)
        sessions = [_session(session, edge_id) for session in request.sessions]
        revoked, renew_all = await self._do.renew_sessions(sessions, edge_id)
        return pb.RenewSessionsResponse(
            revoked=[
                pb.Session(user_id=session.user_id, connection_id=session.connection_id)
                for session in revoked
            ],
            renew_all=renew_all,
        )

    async def CloseSession(
        self, request: pb.CloseSessionRequest, context: Context
    ) -> pb.CloseSessionResponse:
        """See the proto."""
        await self._do.presence.close(_session(request.session, rules.check_edge_id(request.edge_id)))
        return pb.CloseSessionResponse()

    async def RevokeSessions(
        self, request: pb.RevokeSessionsRequest, context: Context
    ) -> pb.RevokeSessionsResponse:
        """See the proto."""
        revoked = await self._do.revoke_sessions(request.user_id, request.connection_id)
        return pb.RevokeSessionsResponse(revoked=revoked)

    async def ListSessions(
        self, request: pb.ListSessionsRequest, context: Context
    ) -> pb.ListSessionsResponse:
        """See the proto."""
        return pb.ListSessionsResponse(connection_ids=await self._do.presence.sessions(_user(request)))

    async def CheckRevocation(
        self, request: pb.CheckRevocationRequest, context: Context
    ) -> pb.CheckRevocationResponse:
        """See the proto."""
        session = Session(_user(request), "", request.token_issued_at_ms)
        (revoked,) = await self._do.revoked.of([session])
        return pb.CheckRevocationResponse(revoked=revoked)

    async def GetPresence(self, request: pb.GetPresenceRequest, context: Context) -> pb.GetPresenceResponse:
        """See the proto."""
        _check_count("user_ids", len(request.user_ids), PRESENCE_LIMIT)
        user_ids = [rules.check_user_id(user_id, "userIds") for user_id in request.user_ids]
        return pb.GetPresenceResponse(online_user_ids=await self._do.presence.online(user_ids))

    async def JoinChats(self, request: pb.JoinChatsRequest, context: Context) -> pb.JoinChatsResponse:
        """See the proto."""
        _check_count("chat_ids", len(request.chat_ids), limits.CHATS_PER_CALL)
        states = await self._do.join_chats(_user(request), request.chat_ids, by_user=request.by_user)
        return pb.JoinChatsResponse(results=map(_join_result, states))

    async def ReadLog(self, request: pb.ReadLogRequest, context: Context) -> pb.ReadLogResponse:
        """See the proto."""
        _check_count("cursors", len(request.cursors), limits.CHATS_PER_CALL)
        cursors = [Cursor(item.chat_id, item.epoch, item.seq) for item in request.cursors]
        slices = await self._do.read_log(_user(request), cursors, request.limit)
        return pb.ReadLogResponse(
            slices=[_slice(cursor.chat_id, found) for cursor, found in zip(cursors, slices, strict=True)]
        )

    async def SetTyping(self, request: pb.SetTypingRequest, context: Context) -> pb.SetTypingResponse:
        """See the proto."""
        await self._do.set_typing(
            _user(request), request.chat_id, request.connection_id, is_typing=request.is_typing
        )
        return pb.SetTypingResponse()

    async def MarkRead(self, request: pb.MarkReadRequest, context: Context) -> pb.MarkReadResponse:
        """See the proto."""
        pointer, unread = await self._do.mark_read(_user(request), request.chat_id, request.message_id)
        return pb.MarkReadResponse(seq=pointer.seq, unread=unread)

    async def MarkDelivered(
        self, request: pb.MarkDeliveredRequest, context: Context
    ) -> pb.MarkDeliveredResponse:
        """See the proto."""
        _check_count("deliveries", len(request.deliveries), DELIVERY_LIMIT)
        await self._do.mark_delivered(
            [Delivery(item.user_id, item.chat_id, item.message_id, item.seq) for item in request.deliveries]
        )
        return pb.MarkDeliveredResponse()

    async def ListChats(self, request: pb.ListChatsRequest, context: Context) -> pb.ListChatsResponse:
        """See the proto."""
        page = await self._do.views.page(_user(request), request.limit, request.cursor)
        return pb.ListChatsResponse(chats=map(proto_codec.chat_pb, page.chats), next_cursor=page.next_cursor)

    async def GetChat(self, request: pb.GetChatRequest, context: Context) -> pb.GetChatResponse:
        """See the proto."""
        return pb.GetChatResponse(
            chat=proto_codec.chat_pb(await self._do.views.get(_user(request), request.chat_id))
        )

    async def ListMembers(self, request: pb.ListMembersRequest, context: Context) -> pb.ListMembersResponse:
        """See the proto."""
        page = await self._do.views.members(
            _user(request),
            request.chat_id,
            proto_codec.role_filter(request.role),
            request.limit,
            request.cursor,
        )
        return pb.ListMembersResponse(
            members=map(proto_codec.member_pb, page.members), next_cursor=page.next_cursor
        )

    async def ListMessages(
        self, request: pb.ListMessagesRequest, context: Context
    ) -> pb.ListMessagesResponse:
        """See the proto."""
        page = await self._do.list_messages(
            _user(request), request.chat_id, request.limit, request.before_seq, request.page
        )
        return pb.ListMessagesResponse(messages=page.messages, has_more=page.has_more)

    async def CreateDirectChat(
        self, request: pb.CreateDirectChatRequest, context: Context
    ) -> pb.CreateDirectChatResponse:
        """See the proto."""
        chat, created = await self._do.create_direct_chat(_user(request), request.peer_id)
        return pb.CreateDirectChatResponse(chat=proto_codec.chat_pb(chat), created=created)

    async def CreateGroup(self, request: pb.CreateGroupRequest, context: Context) -> pb.CreateGroupResponse:
        """See the proto."""
        group = Group(
            name=request.name,
            description=request.description,
            avatar=request.avatar,
            settings=proto_codec.settings(request.settings),
            member_ids=tuple(request.member_ids),
        )
        chat = await self._do.create_group(_user(request), group, strangers_limited=_is_of_edge())
        return pb.CreateGroupResponse(chat=proto_codec.chat_pb(chat))

    async def AddMembers(self, request: pb.AddMembersRequest, context: Context) -> pb.AddMembersResponse:
        """See the proto."""
        chat, added = await self._do.add_members(
            _user(request), request.chat_id, request.member_ids, strangers_limited=_is_of_edge()
        )
        return pb.AddMembersResponse(chat=proto_codec.chat_pb(chat), added_ids=added)

    async def RemoveMember(
        self, request: pb.RemoveMemberRequest, context: Context
    ) -> pb.RemoveMemberResponse:
        """See the proto."""
        await self._do.remove_member(_user(request), request.chat_id, request.member_id)
        return pb.RemoveMemberResponse()

    async def LeaveChat(self, request: pb.LeaveChatRequest, context: Context) -> pb.LeaveChatResponse:
        """See the proto."""
        await self._do.remove_member(_user(request), request.chat_id, request.user_id)
        return pb.LeaveChatResponse()


def _check_count(field: str, count: int, limit: int) -> None:
    if count == 0:
        raise rules.invalid(f"{field} is empty")
    if count > limit:
        raise InvalidArgument(
            ErrorReason.ERROR_REASON_TOO_LARGE, f"{field} has {count} entries; the limit is {limit}"
        )


def _is_of_edge() -> bool:
    """An edge calls for users as they wish; other callers are back ends, which know what they do."""
    return current_caller() == _EDGE


def _trace_of_call() -> str:
    """The trace of a whole call. Not of an edge's: its messages are of different traces, or of none."""
    span = tracing.current()
    return "" if span is None or _is_of_edge() else span.traceparent


def _user(request: _OfUser) -> str:
    """Who asks, or is asked about.

    Raises:
        InvalidArgument: it is no id of a user.
    """
    return rules.check_user_id(request.user_id, "userId")


def _session(session: pb.Session, edge_id: str) -> Session:
    return Session(
        session.user_id,
        session.connection_id,
        session.token_issued_at_ms,
        session.last_active_ms,
        edge_id,
        session.partial,
    )


def _send(item: pb.SendItem, at_ms: int, traceparent: str) -> Send:
    """What a user wants to send now; a part of ``traceparent`` where the item names no trace itself."""
    read_seq = item.read_seq if item.HasField("read_seq") else None
    event = events.message_sent(
        item.message,
        at_ms,
        traceparent=item.traceparent or traceparent,
        unread_by_sender=read_seq is not None,
    )
    return Send(event, read_seq)


def _set_result(result: pb.SendResult, answer: pb.SendAccepted | ParleyError) -> None:
    if isinstance(answer, ParleyError):
        result.error.CopyFrom(to_item_error(answer))
    else:
        result.accepted.CopyFrom(answer)


def _join_result(state: MembershipState | ParleyError) -> pb.JoinResult:
    if isinstance(state, ParleyError):
        return pb.JoinResult(error=to_item_error(state))
    return pb.JoinResult(head=_head(state))


def _head(state: MembershipState) -> ChatHead:
    head = state.head
    return ChatHead(
        chat_id=state.chat_id,
        epoch=head.epoch,
        seq=head.seq,
        number=head.number,
        unread=state.unread,
        member_count=head.member_count,
    )


def _slice(chat_id: str, found: Slice | ParleyError) -> pb.LogSlice:
    if isinstance(found, ParleyError):
        return pb.LogSlice(chat_id=chat_id, error=to_item_error(found))
    return pb.LogSlice(
        chat_id=chat_id,
        head=_head(found.state),
        entries=[ChatEvent.FromString(entry.encoded) for entry in found.entries],
        complete=found.complete,
        reset=found.reset,
    )
