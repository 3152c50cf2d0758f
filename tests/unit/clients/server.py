"""A small server that speaks Parley's frames and history, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CHAT = "c" * 24
LOST_ACK = "lost ack"
"""As the answer to a send: it is stored, and the connection breaks before the ack."""


@dataclass
class SmallServer:
    """One chat between alice, who connects, and bob.

    `answers` are used up by sends; when there is none, a send is acked. `refuse_resume` is used up by
    resumes, which bring at most `window` entries; `reset`: the log cannot tell.
    """

    url: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)
    sends: list[dict[str, Any]] = field(default_factory=list)
    joins: list[list[str]] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    answers: list[str | dict[str, Any]] = field(default_factory=list)
    refuse: Callable[[str], dict[str, Any] | None] = lambda _token: None
    resumes: list[list[dict[str, Any]]] = field(default_factory=list)
    refuse_resume: list[dict[str, Any]] = field(default_factory=list)
    window: int = 200
    reset: bool = False
    epoch: int = 1
    refuse_history: list[dict[str, Any]] = field(default_factory=list)
    sockets: set[ServerConnection] = field(default_factory=set)
    connected: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, content: str, *, live: bool = True, sender: str = "bob") -> dict[str, Any]:
        """A message; not `live`: connections are not told."""
        message = self.store(sender, content, f"{sender}-{len(self.log)}")
        if live:
            await self.tell("new-message", message)
        return message

    async def tell(self, event: str, data: object) -> None:
        """A frame to every connection."""
        for socket in self.sockets:
            await socket.send(json.dumps({"event": event, "data": data}))

    async def drop(self, code: int | None = None, reason: str = "") -> None:
        """Ends every connection, with a close frame or without."""
        self.connected.clear()
        for socket in tuple(self.sockets):
            if code is None:
                socket.transport.abort()
            else:
                await socket.close(code, reason)

    def store(self, sender: str, content: str, client_msg_id: str) -> dict[str, Any]:
        """The message in the log; the one that is there when it was stored before."""
        for message in self.log:
            if (message["senderId"], message["clientMsgId"]) == (sender, client_msg_id):
                return message
        seq = len(self.log) + 1
        message = {
            "id": f"{seq:024x}",
            "chatId": CHAT,
            "seq": seq,
            "number": seq,
            "epoch": self.epoch,
            "senderId": sender,
            "type": "text",
            "content": content,
            "clientMsgId": client_msg_id,
            "createdAt": "2026-01-31T12:00:00.000Z",
            "status": "sent",
            "readBy": [],
            "mentions": [],
        }
        self.log.append(message)
        return message

    def answer_http(self, _socket: ServerConnection, request: Request) -> Response | None:
        """The history, and refusals of a handshake."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        path = urlsplit(request.path)
        if path.path == "/ws":
            self.tokens.append(token)
            error = self.refuse(token)
            return None if error is None else _json({"error": error}, HTTPStatus.UNAUTHORIZED)
        if self.refuse_history:
            return _json({"error": self.refuse_history.pop(0)}, HTTPStatus.SERVICE_UNAVAILABLE)
        query = {name: int(values[0]) for name, values in parse_qs(path.query).items()}
        older = [message for message in self.log if message["seq"] < query.get("before", 10**9)]
        page = older[-query.get("limit", 50) :]
        return _json({"messages": page, "hasMore": len(page) < len(older)}, HTTPStatus.OK)

    async def serve_socket(self, socket: ServerConnection) -> None:
        """One connection."""
        head = {"chatId": CHAT, "seq": len(self.log), "number": 0, "epoch": self.epoch, "unread": 0}
        welcome = {"userId": "alice", "connectionId": "1", "heartbeatMs": 25000, "chats": [head]}
        welcome |= {"pending": [], "nextCursor": None}
        await socket.send(json.dumps({"event": "welcome", "data": welcome}))
        self.sockets.add(socket)
        self.connected.set()
        try:
            async for text in socket:
                await self._on_frame(socket, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            self.sockets.discard(socket)

    async def _on_frame(self, socket: ServerConnection, frame: dict[str, Any]) -> None:
        data = frame["data"]
        match frame["event"]:
            case "send-message":
                await self._on_send(socket, frame["id"], data)
            case "join-chats":
                self.joins.append(data["chatIds"])
                heads = [
                    {"chatId": chat, "seq": 0, "number": 0, "epoch": 1, "unread": 0}
                    for chat in data["chatIds"]
                ]
                await _reply(socket, "ack", frame["id"], {"chats": heads, "errors": []})
            case "resume":
                await self._on_resume(socket, frame["id"], data["chats"])
            case "refresh-token":
                self.tokens.append(data["token"])
                await _reply(socket, "ack", frame["id"], {"expiresInMs": 600_000})
            case "mark-read":
                self.reads.append(data["messageId"])
                await _reply(socket, "ack", frame["id"], {"chatId": CHAT, "seq": 0, "unread": 0})

    async def _on_resume(self, socket: ServerConnection, frame_id: int, chats: list[dict[str, Any]]) -> None:
        self.resumes.append(chats)
        if self.refuse_resume:
            await _reply(socket, "error", frame_id, self.refuse_resume.pop(0))
            return
        told = []
        for cursor in chats:
            log = self.log if cursor["chatId"] == CHAT and not self.reset else []
            newer = [message for message in log if message["seq"] > cursor["seq"]]
            for message in newer[: self.window]:
                await socket.send(json.dumps({"event": "new-message", "data": message}))
            last = newer[: self.window][-1]["seq"] if newer else cursor["seq"]
            if self.reset:
                last = len(self.log)
            complete = len(newer) <= self.window and not self.reset
            told.append(
                {
                    "chatId": cursor["chatId"],
                    "seq": last,
                    "number": last,
                    "epoch": self.epoch,
                    "unread": 0,
                    "complete": complete,
                    "reset": self.reset,
                }
            )
        await _reply(socket, "ack", frame_id, {"chats": told, "errors": []})

    async def _on_send(self, socket: ServerConnection, frame_id: int, data: dict[str, Any]) -> None:
        self.sends.append(data)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, dict):
            await _reply(socket, "error", answer.get("id", frame_id), answer)
            return
        before = len(self.log)
        message = self.store("alice", data["content"], data["clientMsgId"])
        if answer == LOST_ACK:
            socket.transport.abort()
            return
        ack = {
            "messageId": message["id"],
            **{name: message[name] for name in ("chatId", "seq", "number", "epoch", "createdAt")},
        }
        await _reply(socket, "ack", frame_id, ack | {"duplicate": len(self.log) == before})


@asynccontextmanager
async def small_server() -> AsyncIterator[SmallServer]:
    """The server while entered."""
    server = SmallServer()
    async with serve(
        server.serve_socket,
        "127.0.0.1",
        0,
        process_request=server.answer_http,
        subprotocols=[Subprotocol("parley.v1.json")],
        compression=None,
    ) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        server.url = f"http://127.0.0.1:{port}"
        yield server


def refusal(code: str, *, retryable: bool = False, retry_after_ms: int = 0) -> dict[str, Any]:
    """The data of an error frame."""
    return {"code": code, "message": "no", "retryable": retryable, "retryAfterMs": retry_after_ms}


async def _reply(socket: ServerConnection, event: str, frame_id: int | None, data: dict[str, Any]) -> None:
    await socket.send(json.dumps({"event": event, "id": frame_id, "data": data}))


def _json(body: dict[str, Any], status: HTTPStatus) -> Response:
    text = json.dumps(body).encode()
    headers = Headers(
        {"Content-Type": "application/json", "Content-Length": str(len(text)), "Connection": "close"}
    )
    return Response(status.value, status.phrase, headers, text)
