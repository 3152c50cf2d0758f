"""`Members` on persist_service."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from typing_extensions import override

from mesh.parts import parts
from notify_service.adapters.persist.answering import answering
from notify_service.inbox.activity_ports import Activity
from notify_service.inbox.inbox import InboxKey
from notify_service.inbox.ports import Members
from notify_service.inbox.recheck import Attention
from parley.common.v1.chat_pb2 import Role
from parley.persist.v1 import persist_service_pb2 as pb
from parley.persist.v1.persist_service_pb2_grpc import PersistServiceStub

IDEMPOTENT_CALLS: Final = tuple(
    f"parley.persist.v1.PersistService/{method}"
    for method in ("GetAttention", "GetLastActive", "GetUnreadTotals")
)

# The limits of a call.
_QUERIES: Final = 500
_MESSAGES: Final = 2_000
_USERS: Final = 1_000
_LEFT_OUT: Final = 10_000
_MEMBERS: Final = frozenset({Role.ROLE_MEMBER, Role.ROLE_ADMIN})


class PersistMembers(Members, Activity):
    """A `Members` and an `Activity`. The channel brings deadlines, retries and typed errors."""

    def __init__(self, stub: PersistServiceStub) -> None:
        self._stub = stub

    @override
    async def attention(
        self, keys: Sequence[InboxKey], messages: Collection[tuple[str, str]]
    ) -> tuple[Sequence[Attention], Collection[str]]:
        """One call for up to 500 keys and 2,000 messages, more calls for more."""
        queries = [pb.MembershipQuery(chat_id=key.chat_id, user_id=key.user_id) for key in keys]
        asked = [pb.MessageKey(chat_id=chat_id, message_id=message_id) for chat_id, message_id in messages]
        attentions: list[Attention] = []
        deleted: set[str] = set()
        for some in parts(queries, _QUERIES):
            request = pb.GetAttentionRequest(queries=some)
            request.messages.extend(asked[:_MESSAGES])
            asked = asked[_MESSAGES:]
            with answering():
                answer = await self._stub.GetAttention(request)
            attentions += map(_attention, answer.attentions)
            deleted.update(answer.deleted_message_ids)
        while asked:
            request = pb.GetAttentionRequest(queries=queries[:1], messages=asked[:_MESSAGES])
            with answering():
                deleted.update((await self._stub.GetAttention(request)).deleted_message_ids)
            asked = asked[_MESSAGES:]
        return attentions, deleted

    @override
    async def last_active(self, user_ids: Collection[str]) -> Mapping[str, int]:
        """One call for up to 1,000 users."""
        asked, active = sorted(user_ids), dict[str, int]()
        for some in parts(asked, _USERS):
            with answering():
                answer = await self._stub.GetLastActive(pb.GetLastActiveRequest(user_ids=some))
            active.update(zip(some, answer.last_active_ms, strict=True))
        return active

    @override
    async def unread_totals(self, without: Mapping[str, Collection[str]]) -> Mapping[str, int]:
        """One call for up to 500 users with 10,000 chats."""
        totals: dict[str, int] = {}
        for queries in _within_limits(without):
            with answering():
                answer = await self._stub.GetUnreadTotals(pb.GetUnreadTotalsRequest(queries=queries))
            users = (query.user_id for query in queries)
            totals.update(zip(users, answer.totals, strict=True))
        return totals


def _within_limits(without: Mapping[str, Collection[str]]) -> Iterator[list[pb.UnreadTotalQuery]]:
    queries: list[pb.UnreadTotalQuery] = []
    chats = 0
    for user_id, chat_ids in without.items():
        if len(queries) == _QUERIES or (queries and chats + len(chat_ids) > _LEFT_OUT):
            yield queries
            queries, chats = [], 0
        queries.append(pb.UnreadTotalQuery(user_id=user_id, without_chat_ids=sorted(chat_ids)))
        chats += len(chat_ids)
    if queries:
        yield queries


def _attention(answer: pb.Attention) -> Attention:
    return Attention(
        member=answer.role in _MEMBERS,
        read_seq=answer.read_seq,
        delivered_seq=answer.delivered_seq,
        unread=answer.unread,
        last_active_ms=answer.last_active_ms,
        partial=answer.partial,
    )
