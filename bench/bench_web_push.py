"""What a push to a browser costs: the sender's CPU, to a push service over TLS in a process of its own.

The push service answers 201 and decrypts nothing. Shown are whole pushes with 1 and with 16 under way, on
connections that are reused, and apart from them the encryption and the bare HTTP request.

    python bench/bench_web_push.py [--pushes 1000]
"""

import argparse
import asyncio
import multiprocessing
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from notify_service.domain.device import Device, DeviceKind, WebPushKeys
from notify_service.domain.push import Push, PushKind
from notify_service.providers.http import open_http
from notify_service.providers.web_push.message import Subscription, payload
from notify_service.providers.web_push.sender import WebPushSender
from notify_service.providers.web_push.vapid import Vapid
from notify_service.providers.web_push.vapid_key import VapidKey
from tests.support.authority import Authority
from tests.support.providers.push_reading import encode

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

_ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
_PUSH = Push(
    kind=PushKind.SHOW,
    chat_id="c" * 24,
    badge=3,
    title="Ann · Team",
    body="x" * 140,
    message_id="m" * 24,
    sender_id="ann",
    count=1,
    at_ms=time.time_ns() // 1_000_000,
    delivery_id="d" * 24,
)


class NoStore:
    """A `KeyStore` that is not asked: the key is at hand."""

    async def find(self, name: str) -> bytes | None:
        """Nothing."""
        raise LookupError(name)

    async def add(self, name: str, pem: bytes) -> bool:
        """Nothing."""
        raise LookupError(name, pem)


def serve(tls: ssl.SSLContext, ports: "SimpleQueue[int]") -> None:
    """The push service's process; tells its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
                writer.write(_ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def listen() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(listen())


async def measure(what: str, count: int, at_once: int, do: Callable[[], Awaitable[object]]) -> None:
    """Does it so many times, and prints what one of them took."""

    async def some() -> None:
        for _ in range(count // at_once):
            await do()

    # The connections are there before the clock runs.
    await asyncio.gather(*(do() for _ in range(at_once)))
    began, cpu_began = time.perf_counter(), time.process_time()
    await asyncio.gather(*(some() for _ in range(at_once)))
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    done = count // at_once * at_once
    print(f"{what:40} {cpu_seconds / done * 1e6:6.0f} us CPU   {done / seconds:6.0f}/s")


async def run(port: int, ca_file: Path, pushes: int) -> None:
    """All measurements."""
    receiver = VapidKey.generate().public_key
    keys = WebPushKeys(p256dh=receiver, auth=encode(b"0123456789abcdef"))
    url = f"https://localhost:{port}/push/{'a' * 160}"
    device = Device("d" * 24, "bob", DeviceKind.WEB_PUSH, url, "", 0, 0, keys)
    async with open_http(seconds=10, allow_loopback=True, ca_file=ca_file) as http:
        sender = WebPushSender(http, Vapid(NoStore(), "mailto:a@b.example", VapidKey.generate()), 86_400)

        async def encrypt() -> bytes:
            return Subscription.of(keys).encrypt(payload(_PUSH, _PUSH.title, _PUSH.body))

        await measure("a push, one at a time", pushes, 1, lambda: sender.send(_PUSH, device))
        await measure("a push, 16 at once", pushes, 16, lambda: sender.send(_PUSH, device))
        await measure("  of which the encryption", pushes, 1, encrypt)
        await measure(
            "  of which the request, 16 at once", pushes, 16, lambda: http.post(url, b"x" * 500, {})
        )


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pushes", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        authority = Authority(Path(directory))
        context = multiprocessing.get_context("fork")
        ports: SimpleQueue[int] = context.SimpleQueue()
        server = context.Process(target=serve, args=(authority.server_context(), ports), daemon=True)
        server.start()
        try:
            uvloop.run(run(ports.get(), authority.ca_file, arguments.pushes))
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
