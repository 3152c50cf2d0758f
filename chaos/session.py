"""One WebSocket connection of a scripted client."""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.typing import Subprotocol

from chaos.mesh import token

ANSWER_SECONDS: Final = 6.0  # a little more than the edge gives chat_service
_PING_SECONDS: Final = 2.0
_OPEN_SECONDS: Final = 5.0

Frame = dict[str, Any]


class SessionLostError(Exception):
    """There is no connection, or it ended before the answer came."""


class NoAnswerError(Exception):
    """The connection lives, but the answer did not come in time."""


class Session:
    """A connection that was made. `on_frame` gets every frame that answers nothing, in order."""

    def __init__(self, socket: ClientConnection, on_frame: Callable[[Frame], None]) -> None:
        self._socket = socket
        self._on_frame = on_frame
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Frame]] = {}

    @classmethod
    async def open(cls, port: int, user_id: str, on_frame: Callable[[Frame], None]) -> "Session":
        """Connects without waiting for the welcome.

        Raises:
            SessionLostError: the edge cannot be reached, or refuses.
        """
        try:
            socket = await connect(
                f"ws://127.0.0.1:{port}/ws",
                additional_headers={"Authorization": f"Bearer {token(user_id)}"},
                subprotocols=[Subprotocol("parley.v1.json")],
                proxy=None,
                open_timeout=_OPEN_SECONDS,
                close_timeout=1,
                ping_interval=_PING_SECONDS,
                ping_timeout=_PING_SECONDS,
            )
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as error:
            raise SessionLostError(f"{type(error).__name__}: {error}") from error
        return cls(socket, on_frame)

    async def read(self) -> str:
        """Hands frames out until the connection ends; why it did."""
        try:
            async for text in self._socket:
                self._take(msgspec.json.decode(text))
        except WebSocketException:
            pass  # an end without a close frame, told below all the same
        finally:
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(SessionLostError())
            self._asked.clear()
        return f"{self._socket.close_code} {self._socket.close_reason or ''}".strip()

    async def ask(self, event: str, data: Mapping[str, Any]) -> Frame:
        """Sends a frame; its ack or error.

        Raises:
            SessionLostError: the connection ended first.
            NoAnswerError: nothing came within 6 s.
        """
        frame_id = next(self._ids)
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[frame_id] = answer
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                frame = {"event": event, "id": frame_id, "data": data}
                await self._socket.send(msgspec.json.encode(frame).decode())
                return await answer
        except TimeoutError as error:
            raise NoAnswerError from error
        except WebSocketException as error:
            raise SessionLostError from error
        finally:
            self._asked.pop(frame_id, None)
            answer.cancel()

    async def close(self) -> None:
        """Ends the connection as a client that goes away does."""
        await self._socket.close()

    def _take(self, frame: Frame) -> None:
        answer = self._asked.get(frame.get("id", 0))
        if answer is None:
            self._on_frame(frame)
        elif not answer.done():
            answer.set_result(frame)
