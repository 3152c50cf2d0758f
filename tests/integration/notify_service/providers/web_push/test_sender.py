"""The Web Push sender against a push service that decrypts."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from notify_service.domain.device import Device, DeviceKind, WebPushKeys
from notify_service.domain.push import Push, PushKind
from notify_service.ports import NotAskedError, SendDelayedError, SendError, SendRefusedError, TargetGoneError
from notify_service.providers.http import open_http
from notify_service.providers.web_push.sender import WebPushSender
from notify_service.providers.web_push.vapid import Vapid
from notify_service.providers.web_push.vapid_key import VapidKey
from tests.support.providers.push_endpoint import HANG, Browser, PushEndpoint, Reply
from tests.support.providers.push_reading import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.authority import Authority

EXPIRE_SECONDS = 3600.0
KEY = VapidKey.generate()


@pytest.fixture
async def endpoint(authority: Authority) -> AsyncIterator[PushEndpoint]:
    async with PushEndpoint(authority.server_context()) as started:
        yield started


@pytest.fixture
async def sender(authority: Authority) -> AsyncIterator[WebPushSender]:
    async with open_http(seconds=5, allow_loopback=True, ca_file=authority.ca_file) as http:
        yield WebPushSender(http, Vapid(NoStore(), "mailto:ops@example.com", KEY), EXPIRE_SECONDS)


class NoStore:
    """A `KeyStore` that nobody may ask."""

    async def find(self, name: str) -> bytes | None:
        raise AssertionError(name)

    async def add(self, name: str, pem: bytes) -> bool:
        raise AssertionError(name, pem)


def device(browser: Browser) -> Device:
    return Device(
        id="d" * 24,
        user_id="bob",
        kind=DeviceKind.WEB_PUSH,
        address=browser.url,
        label="",
        created_at_ms=0,
        refreshed_at_ms=0,
        web_push_keys=WebPushKeys(browser.p256dh, browser.auth),
    )


def show(**fields: object) -> Push:
    push = Push(
        kind=PushKind.SHOW,
        chat_id="c" * 24,
        badge=7,
        title="Ann",
        body="hello",
        message_id="a" * 24,
        sender_id="ann",
        count=2,
        at_ms=time.time_ns() // 1_000_000,
    )
    return replace(push, **fields)  # type: ignore[arg-type]


CLEAR = Push(kind=PushKind.CLEAR, chat_id="c" * 24, badge=1, urgent=False)


async def refusal(sender: WebPushSender, browser: Browser, push: Push | None = None) -> SendError:
    with pytest.raises(SendError) as caught:
        await sender.send(push or show(), device(browser))
    return caught.value


async def test_a_browser_can_read_it(sender: WebPushSender, endpoint: PushEndpoint) -> None:
    browser = endpoint.subscribe(application_server_key=KEY.public_key)
    assert await sender.send(show(), device(browser)) == "HTTP 201"
    (push,) = browser.taken
    assert push.payload["type"] == "show"
    assert (push.payload["title"], push.payload["body"]) == ("Ann", "hello")
    assert (push.payload["badge"], push.payload["count"]) == (7, 2)
    assert push.headers["urgency"] == "high"
    assert EXPIRE_SECONDS - 5 <= int(push.headers["ttl"]) <= EXPIRE_SECONDS
    assert push.claims["sub"] == "mailto:ops@example.com"
    assert endpoint.complaints == []


async def test_a_clear_push_wakes_nobody_and_replaces_what_it_clears(
    sender: WebPushSender, endpoint: PushEndpoint
) -> None:
    browser = endpoint.subscribe()
    await sender.send(show(), device(browser))
    await sender.send(CLEAR, device(browser))
    shown, cleared = browser.taken
    assert cleared.payload == {"type": "clear", "chatId": "c" * 24, "badge": 1}
    assert cleared.headers["urgency"] == "normal"
    assert int(cleared.headers["ttl"]) == EXPIRE_SECONDS
    assert cleared.headers["topic"] == shown.headers["topic"]


async def test_chats_do_not_replace_one_another(sender: WebPushSender, endpoint: PushEndpoint) -> None:
    browser = endpoint.subscribe()
    await sender.send(show(), device(browser))
    await sender.send(show(chat_id="e" * 24), device(browser))
    assert len({push.headers["topic"] for push in browser.taken}) == 2


async def test_what_is_old_is_kept_for_less_time(sender: WebPushSender, endpoint: PushEndpoint) -> None:
    browser = endpoint.subscribe()
    now = time.time_ns() // 1_000_000
    for age_seconds in (600, 7200, -60):
        await sender.send(show(at_ms=now - age_seconds * 1000), device(browser))
    ttls = [int(push.headers["ttl"]) for push in browser.taken]
    assert EXPIRE_SECONDS - 605 <= ttls[0] <= EXPIRE_SECONDS - 600
    assert ttls[1:] == [0, EXPIRE_SECONDS]


async def test_many_pushes_share_connections_and_one_token(
    sender: WebPushSender, endpoint: PushEndpoint
) -> None:
    browsers = [endpoint.subscribe() for _ in range(8)]
    for _ in range(3):
        await asyncio.gather(*(sender.send(show(), device(browser)) for browser in browsers))
    assert all(len(browser.taken) == 3 for browser in browsers)
    assert endpoint.connections <= 8
    tokens = {push.headers["authorization"] for browser in browsers for push in browser.taken}
    assert len(tokens) == 1


@pytest.mark.parametrize("body", ["long " * 2000, "ä" * 4000, "👩‍👩‍👧‍👦" * 900, '"\\\n' * 3000])
async def test_a_long_text_is_cut_to_what_push_services_take(
    body: str, sender: WebPushSender, endpoint: PushEndpoint
) -> None:
    browser = endpoint.subscribe()
    await sender.send(show(body=body), device(browser))
    (push,) = browser.taken
    assert push.payload["title"] == "Ann"
    assert push.payload["body"].endswith("…")
    assert body.startswith(push.payload["body"][:-1])
    assert 4000 < push.body_bytes <= 4096


async def test_a_push_service_that_takes_less_gets_less(
    sender: WebPushSender, endpoint: PushEndpoint
) -> None:
    browser = endpoint.subscribe()
    endpoint.script(Reply(413, body="too large"))
    assert await sender.send(show(body="long " * 2000), device(browser)) == "HTTP 201"
    refused, taken = browser.requests
    assert refused.body_bytes > 4000
    assert taken.body_bytes <= 2048 + 103


async def test_a_push_service_that_takes_nothing_is_not_asked_for_ever(
    sender: WebPushSender, endpoint: PushEndpoint
) -> None:
    browser = endpoint.subscribe()
    endpoint.otherwise = Reply(413, body="too large")
    assert isinstance(await refusal(sender, browser), SendRefusedError)
    assert endpoint.attempts == 2


async def test_subscriptions_that_ended_are_gone(sender: WebPushSender, endpoint: PushEndpoint) -> None:
    browser, unknown = endpoint.subscribe(), endpoint.subscribe()
    browser.gone = True
    unknown.id = "unknown"
    for ended in (browser, unknown):
        assert isinstance(await refusal(sender, ended), TargetGoneError)


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (Reply(429, {"Retry-After": "30"}), SendDelayedError, (30.0, False)),
        (Reply(503, {"Retry-After": "5"}), SendDelayedError, (5.0, True)),
        (Reply(500, body="oops"), SendDelayedError, (None, True)),
        (Reply(raw=b"nonsense\r\n\r\n"), SendDelayedError, (None, True)),
        (Reply(302, {"Location": "https://localhost/"}), SendRefusedError, None),
        (Reply(400, body="bad"), SendRefusedError, None),
        (Reply(403, body="another key"), SendRefusedError, None),
    ],
)
async def test_what_a_push_service_says(
    reply: Reply,
    kind: type[SendError],
    says: tuple[float | None, bool] | None,
    sender: WebPushSender,
    endpoint: PushEndpoint,
) -> None:
    browser = endpoint.subscribe()
    endpoint.script(reply)
    error = await refusal(sender, browser)
    assert type(error) is kind
    if isinstance(error, SendDelayedError):
        assert (error.retry_after_seconds, error.provider_down) == says
    # Whatever it was, the next push goes through.
    await sender.send(show(), device(browser))
    assert len(browser.taken) == 1


async def test_a_push_service_that_hangs_does_not_hold_up_others(
    authority: Authority, endpoint: PushEndpoint
) -> None:
    browser = endpoint.subscribe()
    endpoint.script(HANG)
    async with open_http(seconds=2, allow_loopback=True, ca_file=authority.ca_file) as http:
        sender = WebPushSender(http, Vapid(NoStore(), "", KEY), EXPIRE_SECONDS)
        hanging = asyncio.create_task(refusal(sender, browser))
        await endpoint.until(lambda: endpoint.attempts == 1)
        await sender.send(show(), device(browser))
        assert not hanging.done()
        assert str(await hanging) == "no answer within 2 s"


async def test_an_outage_ends(sender: WebPushSender, endpoint: PushEndpoint) -> None:
    browser = endpoint.subscribe()
    await sender.send(show(), device(browser))
    await endpoint.stop()
    assert isinstance(await refusal(sender, browser), SendDelayedError)
    await endpoint.start()
    await sender.send(show(), device(browser))
    assert len(browser.taken) == 2


async def test_a_subscription_made_with_another_key_is_refused(
    sender: WebPushSender, endpoint: PushEndpoint
) -> None:
    browser = endpoint.subscribe(application_server_key=VapidKey.generate().public_key)
    error = await refusal(sender, browser)
    assert isinstance(error, SendRefusedError)
    assert str(error) == "HTTP 403: subscribed with another key"


@pytest.mark.parametrize(
    "keys", [None, WebPushKeys("AAAA", "AAAA"), WebPushKeys(encode(b"\4" * 65), "A" * 22)]
)
async def test_wrong_keys_are_told_and_nothing_is_sent(
    keys: WebPushKeys | None, sender: WebPushSender, endpoint: PushEndpoint
) -> None:
    target = replace(device(endpoint.subscribe()), web_push_keys=keys)
    with pytest.raises(NotAskedError, match="keys"):
        await sender.send(show(), target)
    assert endpoint.attempts == 0


async def test_safari_gets_no_clear_push(sender: WebPushSender, endpoint: PushEndpoint) -> None:
    target = replace(device(endpoint.subscribe()), address="https://web.push.apple.com/QGuQyavXutnMH")
    with pytest.raises(NotAskedError, match="Safari"):
        await sender.send(CLEAR, target)


async def test_providers_are_told_apart_by_their_hosts(sender: WebPushSender, endpoint: PushEndpoint) -> None:
    target = device(endpoint.subscribe())
    assert sender.provider(target).startswith("web-push:localhost:")
    assert sender.provider(replace(target, address="https://Push.Example:443/x")) == "web-push:push.example"
    # Anybody may register a port that nothing listens on: its failures must not open the breaker of the host.
    elsewhere = replace(target, address="https://push.example:8443/x")
    assert sender.provider(elsewhere) == "web-push:push.example:8443"
    assert len(sender.provider(replace(target, address=f"https://{'a.' * 500}test/"))) == 100
    assert sender.provider(replace(target, address="nonsense")) == "web-push"


async def test_plain_http_on_this_machine_for_development(sender: WebPushSender) -> None:
    async with PushEndpoint() as endpoint:
        browser = endpoint.subscribe()
        assert browser.url.startswith("http://localhost:")
        await sender.send(show(), device(browser))
        assert browser.taken[0].claims["aud"] == endpoint.origin
        assert endpoint.complaints == []


async def test_outside_of_development_this_machine_is_refused(
    authority: Authority, endpoint: PushEndpoint
) -> None:
    async with open_http(seconds=5, ca_file=authority.ca_file) as http:
        sender = WebPushSender(http, Vapid(NoStore(), "", KEY), EXPIRE_SECONDS)
        error = await refusal(sender, endpoint.subscribe())
        assert isinstance(error, SendRefusedError)
        assert endpoint.connections == 0
