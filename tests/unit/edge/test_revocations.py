"""What is done when it cannot be found out whether a token was revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from edge.identity import Identity
from edge.identity.revocations import Revocations
from mesh.errors import ParleyError, Unauthenticated, Unavailable, unavailable
from parley.chat.v1.chat_service_pb2 import CheckRevocationRequest, CheckRevocationResponse

if TYPE_CHECKING:
    from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub

ADA = Identity("ada", "", expires_at=0, issued_at_ms=5)
BOB = Identity("bob", "", expires_at=0)


class _Chats:
    """Answers as told."""

    def __init__(self) -> None:
        self.answer: bool | ParleyError = False
        self.asked: list[tuple[str, int]] = []

    async def CheckRevocation(  # noqa: N802 - gRPC's name
        self, request: CheckRevocationRequest, **_: Any
    ) -> CheckRevocationResponse:
        self.asked.append((request.user_id, request.token_issued_at_ms))
        if isinstance(self.answer, ParleyError):
            raise self.answer
        return CheckRevocationResponse(revoked=self.answer)


@pytest.fixture
def chats() -> _Chats:
    return _Chats()


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def revocations(chats: _Chats, now: list[float]) -> Revocations:
    return Revocations(cast("ChatServiceStub", chats), clock=lambda: now[0])


async def test_an_answer_holds_for_less_than_a_second(
    chats: _Chats, now: list[float], revocations: Revocations
) -> None:
    for _ in range(3):
        await revocations.check(ADA)
    assert chats.asked == [("ada", 5)]
    chats.answer = True
    now[0] += 0.95
    with pytest.raises(Unauthenticated):
        await revocations.check(ADA)


async def test_tokens_pass_for_a_minute_of_an_outage_and_no_longer(
    chats: _Chats, now: list[float], revocations: Revocations
) -> None:
    await revocations.check(ADA)
    now[0] += 3600  # nobody asked for an hour: the minute counts from the first failure
    chats.answer = unavailable("redis")
    for _ in range(60):
        await revocations.check(ADA)
        await revocations.check(BOB)
        now[0] += 1
    now[0] += 1
    for identity in (ADA, BOB):
        with pytest.raises(Unavailable):
            await revocations.check(identity)
    chats.answer = False
    await revocations.check(ADA)
    chats.answer = unavailable("redis")
    now[0] += 1
    await revocations.check(ADA)  # another outage, another minute


async def test_what_is_revoked_stays_so_during_an_outage(
    chats: _Chats, now: list[float], revocations: Revocations
) -> None:
    chats.answer = True
    with pytest.raises(Unauthenticated):
        await revocations.check(ADA)
    chats.answer = unavailable("redis")
    now[0] += 300
    with pytest.raises(Unauthenticated):
        await revocations.check(ADA)
    await revocations.check(BOB)
