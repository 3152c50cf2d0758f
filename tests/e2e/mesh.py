"""Clients of the whole mesh (`chaos.mesh`), for the end-to-end tests."""

import asyncio
import contextlib
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError
from websockets.typing import Subprotocol

from chaos.mesh import JWT_SECRET, ROOT, SERVICE_SECRET, Mesh, Service, token
from edge.protocol.codec import BINARY, JSON
from tests.support.declared_json import client_frame, server_frame

__all__ = [
    "JWT_SECRET",
    "ROOT",
    "SERVICE_SECRET",
    "Client",
    "Frame",
    "Mesh",
    "Rest",
    "Service",
    "token",
]

WAIT_SECONDS = 30.0

Frame = dict[str, Any]


class Rest:
    """The REST face of one edge for one user."""

    def __init__(self, edge: Service, user_id: str, **claims: Any) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{edge.port}/api/v1",
            headers={"Authorization": f"Bearer {token(user_id, **claims)}"},
            timeout=10,
        )

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """One request, whatever its answer."""
        return await self._client.request(method, path, json=body)

    async def get(self, path: str) -> Any:
        """A document that must be there."""
        response = await self.call("GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """A document that must be accepted."""
        response = await self.call("POST", path, body)
        assert response.status_code in {200, 201}, response.text
        return response.json()

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()


@dataclass(slots=True)
class Client:
    """One WebSocket connection of one user, with everything it was sent."""

    user_id: str
    socket: ClientConnection
    rest: Rest
    frames: list[Frame] = field(default_factory=list)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _reader: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, edge: Service, user_id: str, stack: AsyncExitStack, subprotocol: str = JSON.subprotocol
    ) -> Self:
        """Connects and waits for the welcome; ``stack`` closes it."""
        socket = await connect(
            f"ws://127.0.0.1:{edge.port}/ws",
            additional_headers={"Authorization": f"Bearer {token(user_id)}"},
            subprotocols=[Subprotocol(subprotocol)],
        )
        client = cls(user_id, socket, Rest(edge, user_id))
        client._reader = asyncio.create_task(client._read())
        stack.push_async_callback(client.close)
        await client.wait_for("welcome")
        return client

    async def close(self) -> None:
        """Closes the connection as a client that goes away does."""
        await self.socket.close()
        await self.rest.close()
        if self._reader is not None:
            await self._reader

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosedError):  # the test looks at the close code
            async for data in self.socket:
                async with self._arrived:
                    # Text is JSON, and bytes are protobuf.
                    frame = msgspec.json.decode(data) if isinstance(data, str) else server_frame(data)
                    self.frames.append(frame)
                    self._arrived.notify_all()
        async with self._arrived:
            self._arrived.notify_all()

    def of(self, event: str, **data: Any) -> list[Frame]:
        """The data of all frames of one event whose data hold at least ``data``."""
        return [
            frame["data"]
            for frame in self.frames
            if frame["event"] == event and data.items() <= frame["data"].items()
        ]

    async def wait_for(self, event: str, count: int = 1, **data: Any) -> list[Frame]:
        """Waits until ``count`` such frames have come."""
        async with self._arrived:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._arrived.wait_for(lambda: len(self.of(event, **data)) >= count)
            except TimeoutError:
                got = f"{len(self.of(event, **data))} of {count} {event} {data}"
                raise AssertionError(f"{self.user_id} got {got}; the last: {self.frames[-10:]}") from None
        return self.of(event, **data)

    async def ask(self, event: str, data: Mapping[str, Any], **more: str) -> Frame:
        """Sends a frame, with ``more`` beside its data, and gives the whole reply, an ack or an error."""
        frame_id = uuid.uuid4().hex
        frame = {"event": event, "id": frame_id, "data": data, **more}
        is_binary = self.socket.subprotocol == BINARY.subprotocol
        await self.socket.send(client_frame(frame) if is_binary else msgspec.json.encode(frame).decode())
        async with self._arrived:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._arrived.wait_for(
                    lambda: any(frame.get("id") == frame_id for frame in self.frames)
                )
        return next(frame for frame in self.frames if frame.get("id") == frame_id)

    async def say(self, chat_id: str, content: str, key: str | None = None) -> Frame:
        """Sends a message that must be accepted; the data of its ack."""
        reply = await self.ask(
            "send-message",
            {"chatId": chat_id, "content": content, "type": "text", "clientMsgId": key or uuid.uuid4().hex},
        )
        assert reply["event"] == "ack", reply
        data: Frame = reply["data"]
        return data
