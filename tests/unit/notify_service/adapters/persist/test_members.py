"""What persist_service is asked, within the limits of its calls."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from mesh.errors import ResourceExhausted, Unavailable
from notify_service.adapters.persist.members import PersistMembers
from notify_service.adapters.persist.unread_chats import PersistUnreadChats
from notify_service.domain.notification import ContentType
from notify_service.email.digest import WaitingChat
from notify_service.inbox.inbox import InboxKey
from notify_service.inbox.recheck import Attention
from parley.common.v1.chat_pb2 import Role
from parley.common.v1.error_pb2 import ErrorReason
from parley.persist.v1 import persist_service_pb2 as pb

CHAT = "c" * 24


class Stub:
    """Everybody is a member who has read as far as the own name says, and odd messages are deleted."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    async def GetAttention(self, request: pb.GetAttentionRequest) -> pb.GetAttentionResponse:  # noqa: N802
        self.asked.append((len(request.queries), len(request.messages)))
        return pb.GetAttentionResponse(
            attentions=[
                pb.Attention(role=Role.ROLE_ADMIN, read_seq=int(query.user_id)) for query in request.queries
            ],
            deleted_message_ids=[key.message_id for key in request.messages if int(key.message_id) % 2],
        )

    async def GetUnreadTotals(self, request: pb.GetUnreadTotalsRequest) -> pb.GetUnreadTotalsResponse:  # noqa: N802
        left_out = sum(len(query.without_chat_ids) for query in request.queries)
        self.asked.append((len(request.queries), left_out))
        return pb.GetUnreadTotalsResponse(totals=[int(query.user_id) for query in request.queries])


def members_of(stub: Stub) -> PersistMembers:
    given: Any = stub
    return PersistMembers(given)


async def test_more_than_a_call_takes_is_asked_in_several() -> None:
    stub = Stub()
    keys = [InboxKey(str(number), CHAT) for number in range(600)]
    messages = [(CHAT, str(number)) for number in range(4_500)]
    attentions, deleted = await members_of(stub).attention(keys, messages)
    assert stub.asked == [(500, 2_000), (100, 2_000), (1, 500)]
    assert attentions == [Attention(member=True, read_seq=number) for number in range(600)]
    assert set(deleted) == {str(number) for number in range(1, 4_500, 2)}


async def test_totals_are_in_the_order_of_the_users() -> None:
    stub = Stub()
    users: dict[str, tuple[str, ...]] = {str(number): () for number in range(700)}
    assert await members_of(stub).unread_totals(users) == {user: int(user) for user in users}
    assert stub.asked == [(500, 0), (200, 0)]


async def test_totals_without_many_chats_are_asked_for_in_several_calls() -> None:
    stub = Stub()
    muted = [f"{number:024x}" for number in range(4_000)]
    users = {"1": muted, "2": muted, "3": muted, "4": (), "5": muted[:1]}
    assert set(await members_of(stub).unread_totals(users)) == set(users)
    assert stub.asked == [(2, 8_000), (3, 4_001)]


async def test_who_has_no_role_is_no_member() -> None:
    class Outsider(Stub):
        async def GetAttention(self, request: pb.GetAttentionRequest) -> pb.GetAttentionResponse:  # noqa: N802
            return pb.GetAttentionResponse(
                attentions=[pb.Attention(role=Role.ROLE_NONE)] * len(request.queries)
            )

    attentions, _ = await members_of(Outsider()).attention([InboxKey("bob", CHAT)], ())
    assert attentions == [Attention(member=False)]


async def test_a_store_that_has_too_much_to_do_is_waited_for() -> None:
    overloaded = ResourceExhausted(ErrorReason.ERROR_REASON_OVERLOADED, "too many calls at once")

    class Overloaded:
        def __getattr__(self, method: str) -> Any:
            async def refused(_: Any) -> NoReturn:
                raise overloaded

            return refused

    stub: Any = Overloaded()
    members, chats = PersistMembers(stub), PersistUnreadChats(stub)
    chat = WaitingChat(CHAT, "", "alice", 2, 1, "alice", ContentType.TEXT, "hello", 1)
    for question in (
        members.attention([InboxKey("bob", CHAT)], ()),
        members.unread_totals({"bob": ()}),
        chats.of_user("bob"),
        chats.unread_since(chat),
        chats.names(["bob"]),
    ):
        with pytest.raises(Unavailable) as caught:
            await question
        assert caught.value.dependency == "persist"
