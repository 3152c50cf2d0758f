"""A stand-in for chat_service, to test the edge in isolation.

It is a real gRPC server (`mesh.rpc`) that publishes to a real Redis, with none of chat_service's rules:
memberships are what the test says, positions are counted in memory, nothing is stored. The tests of the whole
system, with the real chat_service, are in `tests/e2e`.
"""

# ruff: noqa: N802, ARG002 - the names and arguments of a servicer are gRPC's

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr
from redis.asyncio import Redis

from edge.pubsub.channels import chat_channel, user_channel
from mesh.clock import now_ms
from mesh.errors import (
    ParleyError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    to_item_error,
    unavailable,
)
from mesh.ids import new_object_id
from mesh.rpc.server import RpcServer
from parley.chat.v1 import chat_service_pb2 as pb
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceServicer, add_ChatServiceServicer_to_server
from parley.common.v1 import chat_pb2, message_pb2
from parley.common.v1.error_pb2 import ErrorReason
from parley.events.v1.chat_event_pb2 import ChatEvent, Presence, Read, Typing
from parley.events.v1.user_event_pb2 import ChatAdded, ChatRemoved, SessionsRevoked, UserEvent

SECRET = "x" * 40  # of users' tokens
SERVICE_SECRET = "s" * 40


@dataclass(slots=True)
class Log:
    """Where the log of a chat stands."""

    epoch: int = 1
    seq: int = 0
    number: int = 0
    entries: list[ChatEvent] = field(default_factory=list)


@dataclass(slots=True)
class ScaffoldChat(ChatServiceServicer):
    """What the test says is true. `gates`: a call waits until the event of its method is set."""

    redis: Redis
    members: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    logs: dict[str, Log] = field(default_factory=lambda: defaultdict(Log))
    sessions: dict[str, str] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    leases: Counter[str] = field(default_factory=Counter)
    lapsed: bool = False
    """The next edge that keeps its lease is told that it had none."""
    delivered: list[pb.Delivery] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    items: list[pb.SendItem] = field(default_factory=list)
    accepted: dict[tuple[str, str, str], pb.SendAccepted] = field(default_factory=dict)
    failures: dict[str, ParleyError] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    entered: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    max_connections: int = 10
    revoked_before_ms: dict[str, int] = field(default_factory=dict)
    revoked_connections: set[str] = field(default_factory=set)
    tokens: dict[str, int] = field(default_factory=dict)
    opened_active_ms: list[int] = field(default_factory=list)
    renewed_active_ms: list[int] = field(default_factory=list)
    member_count: int | None = None
    next_cursor: str = ""
    partial: dict[str, bool] = field(default_factory=dict)
    rebuilding: set[str] = field(default_factory=set)

    async def publish(self, event: ChatEvent) -> None:
        """Publishes as the accept script does."""
        await self.redis.publish(chat_channel(event.chat_id), event.SerializeToString())

    def next_message(self, chat_id: str, sender: str, content: str, client_msg_id: str = "") -> ChatEvent:
        """The next entry of the log: a message."""
        log = self.logs[chat_id]
        log.seq += 1
        log.number += 1
        message = message_pb2.Message(
            id=new_object_id(),
            chat_id=chat_id,
            sender_id=sender,
            type=message_pb2.MESSAGE_TYPE_TEXT,
            content=content,
            client_msg_id=client_msg_id or new_object_id(),
            created_at_ms=now_ms(),
        )
        event = ChatEvent(
            chat_id=chat_id,
            occurred_at_ms=message.created_at_ms,
            epoch=log.epoch,
            seq=log.seq,
            number=log.number,
            message=message,
        )
        log.entries.append(event)
        return event

    def store(self, chat_id: str, sender: str, *contents: str) -> None:
        """Adds messages to the log that no channel tells of."""
        for content in contents:
            self.next_message(chat_id, sender, content)

    async def say(self, chat_id: str, sender: str, *contents: str) -> None:
        """Publishes messages, in one round trip."""
        pipe = self.redis.pipeline(transaction=False)
        for content in contents:
            event = self.next_message(chat_id, sender, content)
            pipe.publish(chat_channel(chat_id), event.SerializeToString())
        await pipe.execute()

    async def add(self, chat_id: str, user_id: str, actor: str) -> None:
        """Makes a user a member, and tells the user."""
        self.members[chat_id].add(user_id)
        added = ChatAdded(chat=self._chat(chat_id), actor_id=actor)
        await self.tell(UserEvent(user_id=user_id, chat_added=added))

    async def remove(self, chat_id: str, user_id: str, actor: str) -> None:
        """Ends a membership, and tells the user."""
        self.members[chat_id].discard(user_id)
        await self.tell(UserEvent(user_id=user_id, chat_removed=ChatRemoved(chat_id=chat_id, actor_id=actor)))

    async def tell_removed(self, chat_id: str, user_id: str) -> None:
        """Tells a user of a removal that this service's answers do not know of yet."""
        removed = ChatRemoved(chat_id=chat_id, actor_id="somebody")
        await self.tell(UserEvent(user_id=user_id, chat_removed=removed))

    async def revoke(self, user_id: str, connection_id: str = "", *, silently: bool = False) -> None:
        """Ends sessions, one or all; `silently`: no edge is told."""
        if connection_id:
            self.revoked_connections.add(connection_id)
        else:
            self.revoked_before_ms[user_id] = now_ms()
        if not silently:
            revoked = SessionsRevoked(
                connection_id=connection_id, issued_before_ms=self.revoked_before_ms.get(user_id, 0)
            )
            await self.tell(UserEvent(user_id=user_id, sessions_revoked=revoked))

    def _is_revoked(self, user_id: str, issued_at_ms: int) -> bool:
        return issued_at_ms < self.revoked_before_ms.get(user_id, 0)

    async def tell(self, event: UserEvent) -> None:
        """Publishes what concerns one user."""
        event.occurred_at_ms = now_ms()
        await self.redis.publish(user_channel(event.user_id), event.SerializeToString())

    async def presence(self, user_id: str, chat_ids: Iterable[str], *, online: bool) -> None:
        """Announces presence, to all chats at once."""
        chat_ids = list(chat_ids)
        presence = Presence(user_id=user_id, online=online, last_seen_ms=now_ms(), chat_ids=chat_ids)
        for chat_id in chat_ids:
            await self.publish(ChatEvent(chat_id=chat_id, presence=presence))

    # What the edge calls.

    async def OpenSession(self, request: pb.OpenSessionRequest, context: Any) -> pb.OpenSessionResponse:
        await self._enter("OpenSession")
        if self._is_revoked(request.user_id, request.token_issued_at_ms):
            raise Unauthenticated(ErrorReason.ERROR_REASON_SESSION_REVOKED, "revoked")
        self.tokens[request.connection_id] = request.token_issued_at_ms
        self.opened_active_ms.append(request.last_active_ms)
        others = [user for user in self.sessions.values() if user == request.user_id]
        if len(others) >= self.max_connections and request.connection_id not in self.sessions:
            raise ResourceExhausted(ErrorReason.ERROR_REASON_TOO_MANY_CONNECTIONS, "too many connections")
        self.sessions[request.connection_id] = request.user_id
        chat_ids = [chat_id for chat_id, members in self.members.items() if request.user_id in members]
        return pb.OpenSessionResponse(chat_ids=chat_ids, next_cursor=self.next_cursor)

    async def RenewSessions(self, request: pb.RenewSessionsRequest, context: Any) -> pb.RenewSessionsResponse:
        if not request.sessions:
            self.leases[request.edge_id] += 1
            lapsed, self.lapsed = self.lapsed, False
            return pb.RenewSessionsResponse(renew_all=lapsed)
        await self._enter("RenewSessions")
        self.tokens |= {session.connection_id: session.token_issued_at_ms for session in request.sessions}
        self.partial |= {session.connection_id: session.partial for session in request.sessions}
        self.renewed_active_ms += [session.last_active_ms for session in request.sessions]
        revoked = [
            session
            for session in request.sessions
            if session.connection_id in self.revoked_connections
            or self._is_revoked(session.user_id, session.token_issued_at_ms)
        ]
        return pb.RenewSessionsResponse(revoked=revoked)

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Any) -> pb.ListSessionsResponse:
        mine = [connection for connection, user in self.sessions.items() if user == request.user_id]
        return pb.ListSessionsResponse(connection_ids=mine)

    async def RevokeSessions(
        self, request: pb.RevokeSessionsRequest, context: Any
    ) -> pb.RevokeSessionsResponse:
        await self.revoke(request.user_id, request.connection_id)
        return pb.RevokeSessionsResponse()

    async def CheckRevocation(
        self, request: pb.CheckRevocationRequest, context: Any
    ) -> pb.CheckRevocationResponse:
        await self._enter("CheckRevocation")
        return pb.CheckRevocationResponse(
            revoked=self._is_revoked(request.user_id, request.token_issued_at_ms)
        )

    async def CloseSession(self, request: pb.CloseSessionRequest, context: Any) -> pb.CloseSessionResponse:
        await self._enter("CloseSession")
        self.sessions.pop(request.session.connection_id, None)
        self.closed.append(request.session.connection_id)
        return pb.CloseSessionResponse()

    async def JoinChats(self, request: pb.JoinChatsRequest, context: Any) -> pb.JoinChatsResponse:
        # The head is taken before the gate: what is published while the answer waits is newer.
        results = [self._join(request.user_id, chat_id) for chat_id in request.chat_ids]
        await self._enter("JoinChats")
        return pb.JoinChatsResponse(results=results)

    async def GetChat(self, request: pb.GetChatRequest, context: Any) -> pb.GetChatResponse:
        await self._enter("GetChat")
        self._check(request.user_id, request.chat_id)
        return pb.GetChatResponse(chat=self._chat(request.chat_id))

    async def ReadLog(self, request: pb.ReadLogRequest, context: Any) -> pb.ReadLogResponse:
        slices = [self._read(request.user_id, cursor, request.limit or 200) for cursor in request.cursors]
        await self._enter("ReadLog")  # as with JoinChats: read before the gate
        return pb.ReadLogResponse(slices=slices)

    async def SendMessages(self, request: pb.SendMessagesRequest, context: Any) -> pb.SendMessagesResponse:
        await self._enter("SendMessages")
        self.batches.append(len(request.items))
        self.items.extend(request.items)
        return pb.SendMessagesResponse(results=[await self._send(item) for item in request.items])

    async def SetTyping(self, request: pb.SetTypingRequest, context: Any) -> pb.SetTypingResponse:
        await self._enter("SetTyping")
        self._check(request.user_id, request.chat_id)
        typing = Typing(user_id=request.user_id, is_typing=request.is_typing)
        await self.publish(ChatEvent(chat_id=request.chat_id, typing=typing))
        return pb.SetTypingResponse()

    async def MarkRead(self, request: pb.MarkReadRequest, context: Any) -> pb.MarkReadResponse:
        await self._enter("MarkRead")
        self._check(request.user_id, request.chat_id)
        log = self.logs[request.chat_id]
        read = Read(
            user_id=request.user_id,
            message_id=request.message_id,
            seq=log.seq,
            number=log.number,
            whole_chat=not request.message_id,
        )
        await self.publish(ChatEvent(chat_id=request.chat_id, occurred_at_ms=now_ms(), read=read))
        return pb.MarkReadResponse(seq=log.seq)

    async def MarkDelivered(self, request: pb.MarkDeliveredRequest, context: Any) -> pb.MarkDeliveredResponse:
        await self._enter("MarkDelivered")
        self.delivered.extend(request.deliveries)
        return pb.MarkDeliveredResponse()

    async def _enter(self, method: str) -> None:
        self.entered[method].set()
        self.calls[method] += 1
        if method in self.gates:
            await self.gates[method].wait()
        if method in self.failures:
            raise self.failures[method]

    def _check(self, user_id: str, chat_id: str) -> None:
        if user_id not in self.members[chat_id]:
            raise PermissionDenied(ErrorReason.ERROR_REASON_NOT_A_MEMBER, "not a member of this chat")

    def _join(self, user_id: str, chat_id: str) -> pb.JoinResult:
        try:
            self._check(user_id, chat_id)
        except ParleyError as error:
            return pb.JoinResult(error=to_item_error(error))
        if chat_id in self.rebuilding:
            return pb.JoinResult(error=to_item_error(unavailable("persist")))
        return pb.JoinResult(head=self._head(chat_id))

    @staticmethod
    def _chat(chat_id: str) -> chat_pb2.Chat:
        return chat_pb2.Chat(
            id=chat_id, type=chat_pb2.CHAT_TYPE_GROUP, name="group", role=chat_pb2.ROLE_MEMBER
        )

    def _head(self, chat_id: str) -> chat_pb2.ChatHead:
        log = self.logs[chat_id]
        return chat_pb2.ChatHead(
            chat_id=chat_id,
            epoch=log.epoch,
            seq=log.seq,
            number=log.number,
            member_count=self.member_count or len(self.members[chat_id]),
        )

    def _read(self, user_id: str, cursor: pb.Cursor, limit: int) -> pb.LogSlice:
        try:
            self._check(user_id, cursor.chat_id)
        except ParleyError as error:
            return pb.LogSlice(chat_id=cursor.chat_id, error=to_item_error(error))
        head, log = self._head(cursor.chat_id), self.logs[cursor.chat_id]
        if (cursor.epoch or head.epoch) != head.epoch or cursor.seq > head.seq:
            return pb.LogSlice(chat_id=cursor.chat_id, head=head, complete=True, reset=True)
        newer = [entry for entry in log.entries if entry.seq > cursor.seq]
        return pb.LogSlice(
            chat_id=cursor.chat_id, head=head, entries=newer[:limit], complete=len(newer) <= limit
        )

    async def _send(self, item: pb.SendItem) -> pb.SendResult:
        said = item.message
        try:
            self._check(said.sender_id, said.chat_id)
        except ParleyError as error:
            return pb.SendResult(error=to_item_error(error))
        key = (said.chat_id, said.sender_id, said.client_msg_id)
        known = self.accepted.get(key)
        if known is not None:
            again = pb.SendAccepted()
            again.CopyFrom(known)
            again.duplicate = True
            return pb.SendResult(accepted=again)
        event = self.next_message(said.chat_id, said.sender_id, said.content, said.client_msg_id)
        event.message.mentions.extend(said.mentions)
        await self.publish(event)
        self.accepted[key] = pb.SendAccepted(
            message_id=event.message.id,
            chat_id=said.chat_id,
            seq=event.seq,
            number=event.number,
            epoch=event.epoch,
            created_at_ms=event.occurred_at_ms,
        )
        return pb.SendResult(accepted=self.accepted[key])


@asynccontextmanager
async def scaffold_chat(redis_url: str) -> AsyncIterator[tuple[ScaffoldChat, int]]:
    """Runs it; gives it and its port."""
    redis = Redis.from_url(redis_url)
    scaffold = ScaffoldChat(redis)  # type: ignore[abstract]  # what the WebSocket half calls, and no more
    async with RpcServer("chat", SecretStr(SERVICE_SECRET)) as server:
        server.add(add_ChatServiceServicer_to_server, scaffold)
        port = await server.start("127.0.0.1", 0, field="chat_port")
        await server.set_serving(True)
        try:
            yield scaffold, port
        finally:
            await redis.aclose()
