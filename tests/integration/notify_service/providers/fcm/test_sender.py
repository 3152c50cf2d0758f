"""The FCM sender against a server that speaks real HTTP/2 over TLS, with its token endpoint."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from notify_service.domain.device import Device, DeviceKind
from notify_service.ports import SendDelayedError, SendError, SendRefusedError, TargetGoneError
from notify_service.providers.credentials import ServiceAccount, read_service_account
from notify_service.providers.fcm.access_token import AccessTokens
from notify_service.providers.fcm.sender import FcmSender
from notify_service.providers.http2 import Http2Client, open_http2
from tests.integration.notify_service.providers import phones
from tests.integration.notify_service.providers.phones import CLEAR, phone
from tests.support.providers.fcm_server import PROJECT, FcmServer, refusal
from tests.support.providers.http2_server import Fault, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.authority import Authority

PUSH = replace(phones.PUSH, at_ms=1_700_000_000_000)
NONSENSE = [
    Reply(502, b"<html>bad gateway</html>"),
    Reply(404, b"<html>not found</html>"),
    Reply(400, b'{"error": {}}'),
    Reply(400, b'{"error": "what?"}'),
    Reply(302, b"", {"location": "https://elsewhere.example/"}),
    Reply(200, b"welcome to the hotel"),
    Reply(200, b'{"name": 7}'),
    Reply(500, b"x" * 1_000_000),
    Reply(200, b"\xff\xfe"),
]


def device(number: int = 0) -> Device:
    return phone(DeviceKind.FCM, f"dMd8:APA91b-{number}", number)


@pytest.fixture
async def fcm(authority: Authority) -> AsyncIterator[FcmServer]:
    async with FcmServer().listen(authority) as server:
        yield server


@pytest.fixture
def account(fcm: FcmServer, tmp_path: Path) -> ServiceAccount:
    return read_service_account(fcm.write_credentials(tmp_path))


@asynccontextmanager
async def client(authority: Authority, seconds: float = 5.0) -> AsyncIterator[Http2Client]:
    async with open_http2(seconds=seconds, ca_file=authority.ca_file) as http:
        yield http


@pytest.fixture
async def sender(fcm: FcmServer, account: ServiceAccount, authority: Authority) -> AsyncIterator[FcmSender]:
    async with client(authority) as http:
        yield FcmSender(http, fcm.url, account, keep_seconds=86_400)


async def outcomes(sender: FcmSender, count: int) -> list[str | BaseException]:
    """What became of sends to so many devices at once."""
    sends = (sender.send(PUSH, device(number)) for number in range(count))
    return await asyncio.gather(*sends, return_exceptions=True)


async def test_a_notification_arrives(fcm: FcmServer, sender: FcmSender) -> None:
    assert await sender.send(replace(PUSH, at_ms=0), device()) == "0:1"
    assert await sender.send(PUSH, device()) == "0:2"

    fresh, old = fcm.messages
    assert fresh["notification"] == {"title": "Ann", "body": "hello"}
    assert fresh["android"] == {
        "collapse_key": PUSH.chat_id,
        "priority": "HIGH",
        "ttl": "86400s",
        "notification": {"tag": PUSH.chat_id, "notification_count": 2},
    }
    assert old["data"] == {
        "type": "show",
        "chatId": PUSH.chat_id,
        "badge": "7",
        "messageId": PUSH.message_id,
        "senderId": "ann",
        "count": "2",
        "sentAt": "2023-11-14T22:13:20.000Z",
    }
    assert old["android"]["ttl"] == "0s"


async def test_a_clear_push_is_data_alone(fcm: FcmServer, sender: FcmSender) -> None:
    await sender.send(CLEAR, device())

    [message] = fcm.messages
    assert "notification" not in message
    assert "notification" not in message["android"]
    assert message["data"] == {"type": "clear", "chatId": PUSH.chat_id, "badge": "0"}
    assert message["android"]["priority"] == "NORMAL"
    assert message["apns"]["payload"] == {"aps": {"badge": 0, "content-available": 1}}


async def test_the_longest_text_is_taken(fcm: FcmServer, sender: FcmSender) -> None:
    body = '日本語 "👩\u200d🚀" \\ ' * 1000
    await sender.send(replace(PUSH, body=body), device())

    shown = fcm.messages[0]["notification"]["body"]
    assert body.startswith(shown.removesuffix("…"))
    assert len(shown) > 1000


async def test_a_message_without_room_is_refused_here(fcm: FcmServer, sender: FcmSender) -> None:
    with pytest.raises(SendRefusedError, match="without any text"):
        await sender.send(replace(PUSH, chat_id="x" * 5000), device())

    assert not fcm.http.requests


async def test_a_device_that_is_no_more_is_gone(fcm: FcmServer, sender: FcmSender) -> None:
    fcm.gone[device(1).address] = refusal(
        404, "NOT_FOUND", "Requested entity was not found.", fcm_code="UNREGISTERED"
    )
    sent, gone = await outcomes(sender, 2)

    assert sent == "0:1"
    assert isinstance(gone, TargetGoneError)
    assert str(gone) == "UNREGISTERED: Requested entity was not found."


@pytest.mark.parametrize("reply", NONSENSE)
async def test_nonsense_delays_and_prunes_nothing(fcm: FcmServer, sender: FcmSender, reply: Reply) -> None:
    fcm.script(reply)

    with pytest.raises(SendDelayedError, match=str(reply.status)) as raised:
        await sender.send(PUSH, device())
    assert raised.value.provider_down

    await sender.send(PUSH, device())


async def test_the_wait_that_firebase_asks_for_is_passed_on(fcm: FcmServer, sender: FcmSender) -> None:
    fcm.script(refusal(503, "UNAVAILABLE", retry_after="37"))

    with pytest.raises(SendDelayedError) as raised:
        await sender.send(PUSH, device())

    assert raised.value.retry_after_seconds == 37


@pytest.mark.parametrize("fault", [Fault.GO_AWAY_UNSEEN, Fault.GO_AWAY_SEEN, Fault.CUT, Fault.RESET_STREAM])
async def test_a_connection_that_breaks_costs_no_notification(
    fcm: FcmServer, sender: FcmSender, fault: Fault
) -> None:
    await sender.send(PUSH, device())
    fcm.script(fault)

    assert not [one for one in await outcomes(sender, 10) if isinstance(one, BaseException)]


async def test_a_firebase_that_hangs_delays(
    fcm: FcmServer, account: ServiceAccount, authority: Authority
) -> None:
    async with client(authority, seconds=1.0) as http:
        sender = FcmSender(http, fcm.url, account, keep_seconds=60)
        await sender.send(PUSH, device())
        fcm.script(Fault.HANG)
        with pytest.raises(SendDelayedError, match="no answer within"):
            await sender.send(PUSH, device())
        await sender.send(PUSH, device())


async def test_all_who_wait_share_one_access_token(fcm: FcmServer, sender: FcmSender) -> None:
    assert len(set(map(str, await outcomes(sender, 30)))) == 30

    assert fcm.token_requests == 1
    assert fcm.http.connections == 1


async def test_a_revoked_access_token_is_replaced_once_for_all(fcm: FcmServer, sender: FcmSender) -> None:
    await sender.send(PUSH, device())
    fcm.revoked |= set(fcm.granted)

    assert not [one for one in await outcomes(sender, 20) if isinstance(one, BaseException)]
    assert fcm.token_requests == 2


async def test_credentials_that_are_never_accepted_delay(fcm: FcmServer, sender: FcmSender) -> None:
    await sender.send(PUSH, device())
    fcm.script(*[refusal(401, "UNAUTHENTICATED", "Who are you?")] * 2)

    with pytest.raises(SendDelayedError, match="UNAUTHENTICATED: Who are you") as raised:
        await sender.send(PUSH, device())

    assert raised.value.provider_down
    assert (fcm.token_requests, fcm.send_requests) == (2, 3)


async def test_a_project_that_is_not_ours_prunes_nothing(
    fcm: FcmServer, authority: Authority, tmp_path: Path
) -> None:
    account = read_service_account(fcm.write_credentials(tmp_path, project_id=f"not-{PROJECT}"))
    async with client(authority) as http:
        with pytest.raises(SendDelayedError, match="PERMISSION_DENIED"):
            await FcmSender(http, fcm.url, account, keep_seconds=60).send(PUSH, device())


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            Reply(400, b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}'),
            "invalid_grant",
        ),
        (Reply(503, b"<html>sorry</html>", {"retry-after": "9"}), "503"),
        (Reply(200, b'{"access_token":"","expires_in":3600}'), "without a token"),
        (Reply(200, b'{"access_token":"a\\nb","expires_in":3600}'), "without a token"),
        (Reply(200, b'{"access_token":"secret","expires_in":0}'), "without a token"),
        (Reply(200, b"secret"), "without a token"),
        (Reply(200, b'{"access_token":"secret"'), "without a token"),
    ],
)
async def test_without_an_access_token_all_who_wait_are_delayed_at_once(
    fcm: FcmServer, sender: FcmSender, reply: Reply, words: str
) -> None:
    fcm.script_tokens(reply)

    failures = await outcomes(sender, 10)

    assert fcm.token_requests == 1
    assert fcm.send_requests == 0
    for failure in failures:
        assert isinstance(failure, SendDelayedError)
        assert failure.provider_down
        assert words in str(failure)
        assert "secret" not in str(failure)


async def test_a_token_endpoint_that_hangs_delays(
    fcm: FcmServer, account: ServiceAccount, authority: Authority
) -> None:
    fcm.script_tokens(*[Fault.HANG] * 5)
    async with client(authority, seconds=1.0) as http:
        sender = FcmSender(http, fcm.url, account, keep_seconds=60)
        failures = await outcomes(sender, 5)

    assert all(isinstance(failure, SendError) for failure in failures)
    assert fcm.token_requests == 1


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_token_is_renewed_before_it_ends_while_the_old_one_serves(
    fcm: FcmServer, account: ServiceAccount, authority: Authority
) -> None:
    clock = Clock()
    async with client(authority) as http:
        tokens = AccessTokens(http, account, clock)
        first = await tokens.get()
        clock.now = 3298.0
        assert await tokens.get() is first
        clock.now = 3300.0
        found = await asyncio.gather(*(tokens.get() for _ in range(10)))

    assert [token.value for token in found] == [fcm.granted[1]] + [first.value] * 9
    assert fcm.token_requests == 2


async def test_an_early_renewal_that_fails_is_repeated_a_minute_later(
    fcm: FcmServer, account: ServiceAccount, authority: Authority
) -> None:
    clock = Clock()
    async with client(authority) as http:
        tokens = AccessTokens(http, account, clock)
        first = await tokens.get()
        fcm.script_tokens(Reply(500), Reply(500), Reply(500))
        clock.now = 3300.0
        assert [await tokens.get() for _ in range(5)] == [first] * 5
        clock.now += 60
        assert [await tokens.get() for _ in range(5)] == [first] * 5
        assert fcm.token_requests == 3

        clock.now = 3570.0  # it ends at 3599
        with pytest.raises(SendDelayedError):
            await tokens.get()
        with pytest.raises(SendDelayedError):
            await tokens.get()
        assert fcm.token_requests == 4
        clock.now += 5
        assert (await tokens.get()).value == fcm.granted[-1]


async def test_who_is_cut_off_while_it_fetches_a_token_leaves_that_to_the_next(
    fcm: FcmServer, account: ServiceAccount, authority: Authority
) -> None:
    fcm.script_tokens(Fault.HANG)
    async with client(authority) as http:
        tokens = AccessTokens(http, account)
        first = asyncio.create_task(tokens.get())
        await fcm.http.wait_for_requests(1)
        second = asyncio.create_task(tokens.get())
        first.cancel()

        assert (await second).value == fcm.granted[0]
    with pytest.raises(asyncio.CancelledError):
        await first
