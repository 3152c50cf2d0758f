"""The APNs sender against a server that speaks real HTTP/2 over TLS."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.push import Push, PushKind
from notify_service.ports import SendDelayedError, SendRefusedError, TargetGoneError
from notify_service.providers.apns.provider_token import SigningKey
from notify_service.providers.apns.sender import ApnsSender
from notify_service.providers.credentials import read_signing_key
from notify_service.providers.http2 import open_http2
from tests.integration.notify_service.providers.phones import CLEAR, PUSH, phone
from tests.support.providers.apns_server import KEY_ID, TEAM_ID, TOPIC, ApnsServer, refusal
from tests.support.providers.http2_server import Fault, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.authority import Authority


def device(number: int = 0) -> Device:
    return phone(DeviceKind.APNS, f"{number:064x}", number)


@pytest.fixture
async def apns(authority: Authority) -> AsyncIterator[ApnsServer]:
    async with ApnsServer().listen(authority) as server:
        yield server


@asynccontextmanager
async def sending(
    apns: ApnsServer, authority: Authority, directory: Path, *, seconds: float = 5.0
) -> AsyncIterator[ApnsSender]:
    key = SigningKey(read_signing_key(apns.write_key(directory)), KEY_ID, TEAM_ID)
    async with open_http2(seconds=seconds, ca_file=authority.ca_file) as http:
        yield ApnsSender(http, apns.url, key, TOPIC, keep_seconds=86_400)


@pytest.fixture
async def sender(apns: ApnsServer, authority: Authority, tmp_path: Path) -> AsyncIterator[ApnsSender]:
    async with sending(apns, authority, tmp_path) as made:
        yield made


async def test_a_notification_arrives(apns: ApnsServer, sender: ApnsSender) -> None:
    receipt = await sender.send(PUSH, device())

    [pushed] = apns.pushed
    assert receipt == pushed.receipt
    assert pushed.headers["apns-collapse-id"] == PUSH.chat_id
    assert pushed.headers["apns-priority"] == "10"
    assert pushed.payload["aps"] == {
        "alert": {"title": "Ann", "body": "hello"},
        "badge": 7,
        "thread-id": PUSH.chat_id,
        "sound": "default",
        "mutable-content": 1,
    }
    assert pushed.payload["messageId"] == PUSH.message_id


async def test_a_clear_push_sets_the_badge_and_shows_nothing(apns: ApnsServer, sender: ApnsSender) -> None:
    await sender.send(CLEAR, device())

    [pushed] = apns.pushed
    assert pushed.payload == {
        "type": "clear",
        "chatId": PUSH.chat_id,
        "aps": {"badge": 0, "content-available": 1},
    }
    assert pushed.headers["apns-priority"] == "5"


async def test_the_longest_text_is_taken(apns: ApnsServer, sender: ApnsSender) -> None:
    body = '日本語 "👩\u200d🚀" ' * 1000
    await sender.send(
        Push(PushKind.SHOW, PUSH.chat_id, 1, title="Ann", body=body, message_id=PUSH.message_id), device()
    )

    shown = apns.pushed[0].payload["aps"]["alert"]["body"]
    assert body.startswith(shown.removesuffix("…"))
    assert 4090 < len(apns.http.requests[0].body) <= 4096


async def test_many_sends_share_one_connection(apns: ApnsServer, sender: ApnsSender) -> None:
    await sender.send(PUSH, device())
    apns.gate.clear()
    sends = asyncio.gather(*(sender.send(PUSH, device(number)) for number in range(1, 33)))
    await apns.http.wait_for_requests(33)
    apns.gate.set()
    await sends

    assert len(apns.pushed) == 33
    assert (apns.http.connections, apns.http.most_streams) == (1, 32)
    assert len(apns.provider_tokens) == 1


async def test_a_server_that_allows_one_stream_at_a_time_gets_one(
    authority: Authority, tmp_path: Path
) -> None:
    async with (
        ApnsServer(max_streams=1).listen(authority) as apns,
        sending(apns, authority, tmp_path) as sender,
    ):
        await asyncio.gather(*(sender.send(PUSH, device(number)) for number in range(20)))

    assert len(apns.pushed) == 20
    assert (apns.http.connections, apns.http.most_streams) == (1, 1)


@pytest.mark.parametrize(
    "fault", [Fault.GO_AWAY_UNSEEN, Fault.GO_AWAY_SEEN, Fault.CUT, Fault.VIOLATION, Fault.RESET_STREAM]
)
async def test_a_connection_that_breaks_costs_no_notification(
    apns: ApnsServer, sender: ApnsSender, fault: Fault
) -> None:
    await sender.send(PUSH, device())
    apns.gate.clear()
    sends = asyncio.gather(*(sender.send(PUSH, device(number)) for number in range(1, 11)))
    await apns.http.wait_for_requests(11)
    apns.script(fault)
    apns.gate.set()
    await sends

    assert {pushed.token for pushed in apns.pushed} == {device(number).address for number in range(11)}
    assert apns.http.connections <= 2


@pytest.mark.parametrize("how", ["go_away", "cut"])
async def test_a_connection_that_ended_while_idle_is_replaced(
    apns: ApnsServer, sender: ApnsSender, how: str
) -> None:
    await sender.send(PUSH, device())
    getattr(apns.http, how)()
    await asyncio.gather(*(sender.send(PUSH, device(number)) for number in range(1, 6)))

    assert len(apns.pushed) == 6
    assert apns.http.connections == 2


@pytest.mark.parametrize("fault", [Fault.GO_AWAY_SEEN, Fault.CUT, Fault.VIOLATION, Fault.RESET_STREAM])
async def test_a_service_that_keeps_breaking_delays(
    apns: ApnsServer, sender: ApnsSender, fault: Fault
) -> None:
    apns.script(fault, fault, fault, fault)

    with pytest.raises(SendDelayedError) as raised:
        await sender.send(PUSH, device())

    assert raised.value.provider_down
    assert len(apns.http.requests) == 2


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.NOISE])
async def test_a_service_that_hangs_delays_and_is_left(
    apns: ApnsServer, authority: Authority, tmp_path: Path, fault: Fault
) -> None:
    async with sending(apns, authority, tmp_path, seconds=1.0) as sender:
        apns.script(*[fault] * 3)
        failed = await asyncio.gather(
            *(sender.send(PUSH, device(number)) for number in range(3)), return_exceptions=True
        )
        assert [type(one) for one in failed] == [SendDelayedError] * 3

        await sender.send(PUSH, device())
        assert len(apns.pushed) == 1
        assert apns.http.connections == 2


async def test_sends_that_are_cut_off_harm_no_others(apns: ApnsServer, sender: ApnsSender) -> None:
    await sender.send(PUSH, device())
    apns.gate.clear()
    sends = [asyncio.create_task(sender.send(PUSH, device(number))) for number in range(1, 31)]
    await apns.http.wait_for_requests(31)
    for send in sends[::2]:
        send.cancel()
    late = asyncio.create_task(sender.send(PUSH, device(31)))
    await apns.http.wait_for_requests(32)
    apns.gate.set()
    await asyncio.gather(*sends[1::2], late)

    assert len(apns.pushed) == 1 + 15 + 1
    assert (apns.http.connections, apns.http.resets) == (1, 15)
    with pytest.raises(asyncio.CancelledError):
        await sends[0]


async def test_a_server_that_never_greets_is_left(authority: Authority, tmp_path: Path) -> None:
    apns = ApnsServer()
    async with apns.listen(authority):
        pass  # it has a port now
    silent: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)

    tls = authority.server_context(alpn=["h2"])
    server = await asyncio.start_server(take, "127.0.0.1", apns.http.port, ssl=tls)
    async with sending(apns, authority, tmp_path, seconds=1.0) as sender:
        with pytest.raises(SendDelayedError, match="no answer within"):
            await sender.send(PUSH, device())
        server.close()
        silent[0].transport.abort()
        async with apns.listen(authority):
            await sender.send(PUSH, device())

    assert len(silent) == 1


async def test_a_server_without_http2_is_told_apart(authority: Authority, tmp_path: Path) -> None:
    apns = ApnsServer()
    async with apns.listen(authority):
        pass  # it has a port now
    tls = authority.server_context(alpn=["http/1.1"])
    async with (
        await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", apns.http.port, ssl=tls),
        sending(apns, authority, tmp_path) as sender,
    ):
        with pytest.raises(SendDelayedError, match="does not speak HTTP/2"):
            await sender.send(PUSH, device())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"<html>bad gateway</html>"),
        (404, b"<html>not found</html>"),
        (410, b"gone fishing"),
        (400, b"{"),
        (400, b"[]"),
        (301, b""),
        (200, b"welcome to the hotel"),
        (503, b"x" * 1_000_000),
    ],
)
async def test_nonsense_delays_and_prunes_nothing(
    apns: ApnsServer, sender: ApnsSender, status: int, body: bytes
) -> None:
    apns.script(Reply(status, body))

    with pytest.raises(SendDelayedError, match=str(status)):
        await sender.send(PUSH, device())

    await sender.send(PUSH, device())


async def test_a_device_that_is_no_more_is_gone(apns: ApnsServer, sender: ApnsSender) -> None:
    apns.gone[device().address] = refusal(410, "Unregistered", timestamp=6_000)

    with pytest.raises(TargetGoneError, match="Unregistered"):
        await sender.send(PUSH, device())


async def test_a_payload_without_room_is_refused_here(apns: ApnsServer, sender: ApnsSender) -> None:
    with pytest.raises(SendRefusedError, match="without any text"):
        await sender.send(Push(PushKind.SHOW, "x" * 5000, 1, title="Ann"), device())

    assert not apns.http.requests


async def test_an_expired_provider_token_is_replaced_once_for_all(
    apns: ApnsServer, sender: ApnsSender
) -> None:
    await sender.send(PUSH, device())
    apns.expired |= apns.provider_tokens

    await asyncio.gather(*(sender.send(PUSH, device(number)) for number in range(1, 9)))

    assert len(apns.pushed) == 9
    assert len(apns.provider_tokens) == 2


async def test_a_provider_token_that_expires_again_delays(apns: ApnsServer, sender: ApnsSender) -> None:
    apns.script(*[refusal(403, "ExpiredProviderToken")] * 3)

    with pytest.raises(SendDelayedError, match="ExpiredProviderToken"):
        await sender.send(PUSH, device())
    with pytest.raises(SendDelayedError, match="ExpiredProviderToken"):
        await sender.send(PUSH, device())

    # The second send did not even try: APNs counts tokens that change too often.
    assert len(apns.http.requests) == 3
    await sender.send(PUSH, device())
