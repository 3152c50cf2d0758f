"""How a client gets what it missed: over the WebSocket with `resume`, over REST where the log cannot tell.

`resume` sends the entries as live frames and answers how far they reach (docs/websocket-protocol.md).
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx
import msgspec

from chaos.mesh import token
from chaos.view import Line

_PAGE: Final = 100
_TIMEOUT_SECONDS: Final = 4.0


class RestError(Exception):
    """A request was refused or not answered. `worth_repeating` tells whether it may work later."""

    def __init__(self, status: int, code: str, *, worth_repeating: bool) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.worth_repeating = worth_repeating


@dataclass(frozen=True, slots=True)
class Resumed:
    """What the ack of a `resume` says of one chat."""

    epoch: int = 0
    seq: int = 0
    complete: bool = False
    reset: bool = False
    refused: bool = False
    """Not now; with `for_good`, never: the user is no member any more."""
    for_good: bool = False


def resumed(answer: Mapping[str, Any]) -> Iterator[tuple[str, Resumed]]:
    """Chat by chat, from the data of the ack."""
    for chat in answer["chats"]:
        yield chat["chatId"], Resumed(chat["epoch"], chat["seq"], chat["complete"], chat["reset"])
    for item in answer["errors"]:
        yield item["chatId"], Resumed(refused=True, for_good=not item["error"]["retryable"])


class Api:
    """The REST face of whichever edge the client is with, for one user."""

    def __init__(self, user_id: str, http: httpx.AsyncClient) -> None:
        self._user_id = user_id
        self._http = http
        self.port = 0
        """The edge; its client sets it with each connection."""

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The document that a request is answered with, None for an empty answer; raises `RestError`."""
        url = f"http://127.0.0.1:{self.port}/api/v1{path}"
        headers = {"Authorization": f"Bearer {token(self._user_id)}"}
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                response = await self._http.request(method, url, json=body, headers=headers)
        except (httpx.TransportError, TimeoutError) as error:
            raise RestError(0, type(error).__name__, worth_repeating=True) from error
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            try:
                problem = msgspec.json.decode(response.content)["error"]
            except (msgspec.DecodeError, KeyError, TypeError):
                problem = {"code": "NOT_OUR_ERROR", "retryable": True}
            raise RestError(response.status_code, problem["code"], worth_repeating=problem["retryable"])
        return msgspec.json.decode(response.content) if response.content else None


async def missed(api: Api, chat_id: str, after: int) -> list[Line]:
    """All messages of a chat whose `seq` is higher than `after`, by paging back through its history.

    Raises:
        RestError: a page could not be had; start again.
    """
    lines: list[Line] = []
    before = ""
    while True:
        page = await api.call("GET", f"/chats/{chat_id}/messages?limit={_PAGE}{before}")
        found = [line_of(message) for message in page["messages"]]
        lines = [*(line for line in found if line.seq > after), *lines]
        if not page["hasMore"] or not found or found[0].seq <= after:
            return lines
        before = f"&before={found[0].seq}"


def line_of(message: Mapping[str, Any]) -> Line:
    """A message of the history, or of a live `new-message` frame, which has the same fields."""
    return Line(
        seq=message["seq"],
        number=message["number"],
        message_id=message["id"],
        sender_id=message["senderId"],
        key=message["clientMsgId"],
        content=message["content"],
    )
