"""One life of a WebSocket: the handshake, requests with their answers, and what the server tells."""

import asyncio
import itertools
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from parley_client.declared import FINAL_CLOSE_CODES, NEW_TOKEN_CLOSE_CODES, Json
from parley_client.errors import ParleyError, SessionEndedError, TokenError, UnreachableError, error_from
from parley_client.events import Connected, FromServer, Incoming, event_from
from parley_client.rest import describe, refusal

_SUBPROTOCOL: Final = Subprotocol("parley.v1.json")
_ANSWER_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 2.0
_MAX_FRAME_BYTES: Final = 4 * 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    answer: asyncio.Future[Json]
    parse: Callable[[Json], Incoming] | None


class Connection:
    """An open connection that was welcomed. `run` it; until it ends, `request` may be used."""

    def __init__(self, socket: ClientConnection, welcome: Connected) -> None:
        self.welcome: Final = welcome
        self.reconnect_at: float | None = None
        """When the server asked to connect to another, if it said that it goes away (the loop's clock)."""
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, _Request] = {}

    @classmethod
    async def open(cls, url: str, token: str) -> Self:
        """Connects and waits for the welcome; `url` is the server's `http(s)://` address.

        Raises:
            UnreachableError: no server, or none that is ready.
            SessionEndedError, ParleyError: the server refused the session.
        """
        address = "ws" + url.removeprefix("http").rstrip("/") + "/ws"
        try:
            socket = await connect(
                address,
                subprotocols=[_SUBPROTOCOL],
                additional_headers={"Authorization": f"Bearer {token}"},
                compression=None,
                max_size=_MAX_FRAME_BYTES,
                close_timeout=_CLOSE_SECONDS,
            )
        except InvalidStatus as error:
            raise refusal(url, error.response.status_code, _json(error.response.body)) from error
        except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
            raise UnreachableError(f"cannot reach {url}: {describe(error)}") from error
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return cls(socket, await _welcome(socket))
        except TimeoutError:
            await socket.close()
            raise UnreachableError(f"{url} did not welcome us within {_ANSWER_SECONDS:g} s") from None

    async def run(self, on_event: Callable[[FromServer], None]) -> ParleyError:
        """Takes what the server sends until the connection ends; gives the reason.

        `UnreachableError` and other retryable ones mean: come back; everything else is final.
        """
        try:
            async for text in self._socket:
                self._take(text, on_event)
            ended: ParleyError = _ending(self._socket)
        except ConnectionClosed:
            ended = _ending(self._socket)
        finally:
            for waiting in self._waiting.values():
                waiting.answer.cancel()
        return ended

    async def request(
        self, event: str, data: Mapping[str, Any], parse: Callable[[Json], Incoming] | None = None
    ) -> Json:
        """Sends a frame and returns the data of its ack.

        What `parse` makes of them is an event too, in its order among those before and after the ack.

        Raises:
            UnreachableError: the connection ended first, or there was no answer for 10 s; the frame may have
                had its effect.
            ParleyError: the server refused it.
        """
        number = next(self._ids)
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[number] = _Request(future, parse)
        try:
            await self._socket.send(json.dumps({"event": event, "id": number, "data": data}))
            await asyncio.wait((future,), timeout=_ANSWER_SECONDS)
            if not future.done():
                raise UnreachableError(f"no answer to {event} within {_ANSWER_SECONDS:g} s")
            if future.cancelled():
                raise UnreachableError(f"the connection ended before the answer to {event}")
            return future.result()
        except ConnectionClosed as error:
            raise UnreachableError(f"the connection ended while sending {event}") from error
        finally:
            del self._waiting[number]
            future.cancel()

    async def close(self) -> None:
        """Says goodbye and ends the connection."""
        await self._socket.close()

    def _take(self, text: str | bytes, on_event: Callable[[FromServer], None]) -> None:
        try:
            frame = json.loads(text)
            name, frame_id, data = frame["event"], frame.get("id"), frame["data"]
            if name in {"ack", "error"}:
                self._answer(name, frame_id, data, on_event)
            elif name == "drain":
                after = data["reconnectAfterMs"] / 1000
                self.reconnect_at = asyncio.get_running_loop().time() + after
            elif (event := event_from(name, data)) is not None:
                on_event(event)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # A frame that breaks the protocol is skipped: a gap that it leaves is found by the next one.
            _log.warning("skipped a frame that this client cannot read: %r", error)

    def _answer(self, name: str, frame_id: Any, data: Json, on_event: Callable[[FromServer], None]) -> None:
        request = self._waiting.get(frame_id)
        if request is not None and not request.answer.done():
            if name == "ack":
                if request.parse is not None:
                    on_event(request.parse(data))
                request.answer.set_result(data)
            else:
                request.answer.set_exception(error_from(data))
        elif name == "error" and frame_id is None:
            self._refuse_unnamed(error_from(data))

    def _refuse_unnamed(self, error: ParleyError) -> None:
        """The server could not read the id of a frame. Of several it may be any: then all are tried again."""
        waiting = [request.answer for request in self._waiting.values() if not request.answer.done()]
        for answer in waiting:
            if len(waiting) == 1:
                answer.set_exception(error)
            else:
                answer.set_exception(UnreachableError(f"one of {len(waiting)} frames was refused: {error}"))


async def _welcome(socket: ClientConnection) -> Connected:
    try:
        async for text in socket:
            frame = _json(text) or {}
            welcome = event_from(frame.get("event", ""), frame.get("data", {}))
            if isinstance(welcome, Connected):
                return welcome
    except ConnectionClosed:
        pass
    raise _ending(socket)


def _ending(socket: ClientConnection) -> ParleyError:
    # 1006 stands for a connection that broke without a close frame (RFC 6455 section 7.1.5).
    code, reason = socket.close_code or 1006, socket.close_reason or ""
    if code in NEW_TOKEN_CLOSE_CODES:
        # A refused session begins its reason with the error's code.
        error, found, message = reason.partition(": ")
        return TokenError(error, message) if found else TokenError("TOKEN_EXPIRED", reason)
    if code in FINAL_CLOSE_CODES:
        return SessionEndedError(code, reason)
    return UnreachableError(f"the connection ended: {reason or 'without a reason'} [{code}]")


def _json(text: str | bytes | bytearray | None) -> Any:
    try:
        return json.loads(text or b"")
    except ValueError:
        return None
