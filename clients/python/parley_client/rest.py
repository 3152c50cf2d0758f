"""The REST calls, typed."""

from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

import httpx

from parley_client.declared import Chat, chat_from
from parley_client.errors import ClientClosedError, ParleyError, UnreachableError, error_from
from parley_client.models import (
    ChatPage,
    MemberPage,
    Page,
    chat_page_from,
    member_page_from,
    page_from,
)

_TIMEOUT_SECONDS: Final = 10.0


class RestClient:
    """Calls under `/api/v1` of one server. Every method raises `ParleyError` of the kind that it ended in."""

    def __init__(self, url: str) -> None:
        self.url: Final = url.rstrip("/")
        self.token = ""
        self._http = httpx.AsyncClient(base_url=f"{self.url}/api/v1/", timeout=_TIMEOUT_SECONDS)

    async def dev_token(self, user_id: str, name: str) -> str:
        """A token for any user, from a server in development mode; `NotFoundError` from others."""
        token: str = (await self.call("POST", "dev/token", json={"userId": user_id, "name": name}))["token"]
        return token

    async def chats(self, *, limit: int, cursor: str | None) -> ChatPage:
        """A page of the user's chats, the last changed first."""
        return chat_page_from(await self.call("GET", "chats", params=_paging(limit, cursor)))

    async def members(self, chat_id: str, role: str | None, *, limit: int, cursor: str | None) -> MemberPage:
        """A page of the members of a chat, in the order of joining."""
        params = _paging(limit, cursor) | ({} if role is None else {"role": role})
        return member_page_from(await self.call("GET", f"chats/{chat_id}/members", params=params))

    async def direct_chat(self, user_id: str) -> Chat:
        """The chat with this user, made if there is none."""
        return chat_from((await self.call("POST", "chats", json={"userId": user_id}))["chat"])

    async def history(self, chat_id: str, *, limit: int = 50, before: int | None = None) -> Page:
        """The newest messages, or the newest with a `seq` below `before`."""
        params = {"limit": limit} | ({} if before is None else {"before": before})
        return page_from(await self.call("GET", f"chats/{chat_id}/messages", params=params))

    async def remove_member(self, chat_id: str, user_id: str) -> None:
        """Removes a user from a group; takes an admin. A user who is no member is left as is."""
        await self.call("DELETE", f"chats/{chat_id}/members", params={"userId": user_id})

    async def leave(self, chat_id: str) -> None:
        """Leaves a group."""
        await self.call("DELETE", f"chats/{chat_id}/members/me")

    async def call(self, method: str, path: str, **arguments: Any) -> Any:
        """The JSON that a path under `/api/v1` answers; None when it answers that there is nothing to say."""
        if self._http.is_closed:
            raise ClientClosedError
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            response = await self._http.request(method, path, headers=headers, **arguments)
        except httpx.TransportError as error:
            raise UnreachableError(f"cannot reach {self.url}: {describe(error)}") from error
        if response.status_code == HTTPStatus.NO_CONTENT:
            return None
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.is_success and isinstance(body, dict):
            return body
        raise refusal(self.url, response.status_code, body)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()


def _paging(limit: int, cursor: str | None) -> dict[str, str | int]:
    return {"limit": limit} | ({} if cursor is None else {"cursor": cursor})


def refusal(url: str, status: int, body: Any) -> ParleyError:
    """The error in an answer, or that what answered is no Parley server."""
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        return error_from(body["error"])
    if status in {502, 503, 504}:  # a load balancer with no server behind it
        return UnreachableError(f"{url} answers {status}: no server behind it is ready")
    return ParleyError("UNEXPECTED", f"{url} answers {status}, but not as Parley: is the address right?")


def describe(error: Exception) -> str:
    """The text of an error, or its name: many of the network's have no text."""
    return str(error) or type(error).__name__
