"""The client: stays connected, sends each message once, and gives each event once and in order."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from parley_client.backoff import Backoff
from parley_client.connection import Connection
from parley_client.declared import Chat, Sent, sent_from
from parley_client.errors import (
    ClientClosedError,
    ClientDefectError,
    ParleyError,
    SessionEndedError,
    TokenError,
    TokenSourceError,
    UnreachableError,
    error_from,
)
from parley_client.events import (
    Disconnected,
    Event,
    FromServer,
    Incoming,
    TokenExpiring,
    heads_from,
)
from parley_client.inbox import Inbox
from parley_client.link import Link
from parley_client.models import ChatPage, MemberPage, Page
from parley_client.notifications import Notifications
from parley_client.order import Order
from parley_client.rest import RestClient
from parley_client.resumer import Resumer

TokenSource = Callable[[], Awaitable[str]]
"""Gives a fresh token; asked before each connection, and when a token ends while one stands."""

_SEND_SECONDS: Final = 30.0
_STABLE_SECONDS: Final = 10.0
_SESSION_REFUSED: Final = 4403
_RATE_LIMITED: Final = "RATE_LIMITED"

_log = logging.getLogger(__name__)


class ParleyClient:
    """A user's connection to Parley at `url` (`http://` or `https://`).

    Enter it, and leave it to disconnect. Entering makes the first connection and fails if there is none to
    be had. From then on a lost connection is made again, with back-off and jitter, until the server refuses
    it for good. `notifications` has the user's devices and preferences.

    Methods raise `ParleyError` of the kind that it ended in; those that send wait for a connection. Once the
    client is left they raise `ClientClosedError`, also where they wait already.

    `token` may be a function. What it raises is `TokenSourceError`: when entering it ends the attempt, later
    it is tried again. A `ParleyError` that is not retryable ends the session for good.

    Up to 10,000 events wait for `events`; see `Gap` for what happens beyond.
    """

    def __init__(self, url: str, token: str | TokenSource, *, backoff: Backoff | None = None) -> None:
        self.user_id = ""
        self._url = url.rstrip("/")
        self._token = token
        self._rest = RestClient(url)
        self.notifications: Final = Notifications(self._rest)
        self._backoff = backoff or Backoff()
        self._link = Link()
        self._inbox = Inbox()
        self._resumer = Resumer(self._link.live, self._inbox)
        self._order = Order(self._page, self._resumer.ask)
        self._arranging: AsyncIterator[Event] | None = None
        self._incoming: Incoming
        self._joined: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def events(self) -> AsyncIterator[Event]:
        """What happens, until the client is left. One reader at a time.

        Messages come each once and in the order of their chat, those missed during an interruption included,
        from the moment of the first connection (or of joining the chat) on.

        Raises:
            ParleyError: the session is over for good.
        """
        while True:
            try:
                event = await self._next_event()
            except ClientClosedError:
                return
            yield event

    async def send_message(
        self,
        chat_id: str,
        content: str,
        *,
        type: str = "text",  # noqa: A002 - the protocol's word
        client_msg_id: str | None = None,
        mentions: Iterable[str] = (),
        read_seq: int | None = None,
        timeout_seconds: float = _SEND_SECONDS,
    ) -> Sent:
        """Sends a message and returns when it is durable.

        A try that is not answered, or fails in a way that may pass, is repeated with the same
        `client_msg_id`, so that it is stored once. For their order to be kept, messages must be sent one
        after the other. `mentions` names up to 50 users, whom a notification may reach where others stay
        quiet. `read_seq` says how far the user has read: up to the message unless it is given, no further
        than before with 0 (a bot that sends in the user's name), else up to that position (the last one that
        was shown when the message was written, if it waited offline).

        Raises:
            UnreachableError: no ack within `timeout_seconds`; it may have been stored. Repeating the call
                with the same `client_msg_id` is safe.
        """
        data = {
            "chatId": chat_id,
            "content": content,
            "type": type,
            "clientMsgId": client_msg_id or secrets.token_urlsafe(12),
            "mentions": list(mentions),
            "readSeq": read_seq,
        }
        try:
            async with asyncio.timeout(timeout_seconds):
                return sent_from(await self._insist("send-message", data))
        except TimeoutError:
            raise UnreachableError(f"no ack within {timeout_seconds:g} s") from None

    async def set_typing(self, chat_id: str, *, is_typing: bool) -> None:
        """Tells the others that the user types; holds for 3 s."""
        await self._request("typing", {"chatId": chat_id, "isTyping": is_typing})

    async def mark_read(self, chat_id: str, message_id: str) -> None:
        """Tells that everything up to this message was read."""
        await self._request("mark-read", {"chatId": chat_id, "messageId": message_id})

    async def mark_chat_read(self, chat_id: str) -> None:
        """Tells that the whole chat was read."""
        await self._request("mark-chat-read", {"chatId": chat_id})

    async def join(self, chat_ids: Iterable[str]) -> None:
        """Receives the events of these chats too, now and after each reconnect.

        The user's own chats are joined by the server, if there are not more than 1,000: then `all_chats` has
        the others.

        Raises:
            PermissionDeniedError: the user is no member of one of them; the others are joined.
        """
        wanted = set(chat_ids)
        errors = await self._join(await self._link.live(), wanted)
        self._joined |= wanted - errors.keys()
        for error in errors.values():
            raise error

    async def chats(self, *, limit: int = 50, cursor: str | None = None) -> ChatPage:
        """A page of 1 to 100 of the user's chats, the last changed first; `cursor` goes on after a page."""
        return await self._rest.chats(limit=limit, cursor=cursor)

    async def all_chats(self) -> AsyncIterator[Chat]:
        """Every chat of the user once, about the last changed first, read page by page."""
        seen: set[str] = set()
        cursor: str | None = None
        while True:
            page = await self.chats(limit=100, cursor=cursor)
            for chat in page.chats:
                if chat.id not in seen:
                    seen.add(chat.id)
                    yield chat
            cursor = page.next_cursor
            if cursor is None:
                return

    async def members(
        self, chat_id: str, *, role: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> MemberPage:
        """A page of 1 to 100 members of a chat in the order of joining, those with `role` alone."""
        return await self._rest.members(chat_id, role, limit=limit, cursor=cursor)

    async def direct_chat(self, user_id: str) -> Chat:
        """The chat with this user, made if there is none."""
        return await self._rest.direct_chat(user_id)

    async def history(self, chat_id: str, *, limit: int = 50, before: int | None = None) -> Page:
        """The newest messages, or the newest with a `seq` below `before`; 1 to 100 of them."""
        return await self._rest.history(chat_id, limit=limit, before=before)

    async def __aenter__(self) -> Self:
        try:
            connection = await self._connect()
        except BaseException:
            await self._rest.__aexit__(None, None, None)
            raise
        self._start(self._stay(connection), "parley-client")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection = self._link.connection
        self._end(ClientClosedError())
        if connection is not None:
            await connection.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._resumer.close()
        await self._rest.__aexit__(kind, error, trace)

    async def _next_event(self) -> Event:
        # The arranging outlives the iterator that `events` gave: who breaks out of one loop and begins
        # another goes on with the next event, also in the middle of what was missed.
        while True:
            if self._arranging is None:
                incoming = await self._inbox.take()
                self._arranging = self._order.arrange(incoming)
                self._incoming = incoming
            try:
                return await anext(self._arranging)
            except StopAsyncIteration:
                self._arranging = None
            except asyncio.CancelledError:
                # Cut off while fetching what was missed. Whoever calls again begins with the same frame.
                self._arranging = self._order.arrange(self._incoming)
                raise

    async def _stay(self, connection: Connection) -> None:
        """Keeps a connection until the session is over for good."""
        try:
            while True:
                ended = await self._live_through(connection)
                self._inbox.put(Disconnected(ended.message))
                if not self._may_return(ended):
                    self._end(ended)
                    return
                connection = await self._reconnect(connection.reconnect_at)
        except ParleyError as failure:
            self._end(failure)
        except Exception as error:  # noqa: BLE001 - the last boundary of the task
            # Whoever waits must learn of a defect too.
            _log.exception("the client failed")
            defect = ClientDefectError(error)
            defect.__cause__ = error
            self._end(defect)

    def _end(self, failure: ParleyError) -> None:
        """Nothing follows: every waiter, now or later, gets the reason. The first one counts."""
        self._link.end(failure)
        self._inbox.fail(failure)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _live_through(self, connection: Connection) -> ParleyError:
        since = asyncio.get_running_loop().time()
        self._link.up(connection)
        rejoin = self._start(self._rejoin(connection), "parley-client-rejoin")
        try:
            return await connection.run(self._on_incoming)
        finally:
            rejoin.cancel()
            self._link.down()
            # Only then: a server that welcomes and drops at once is not to be hammered.
            if asyncio.get_running_loop().time() - since > _STABLE_SECONDS:
                self._backoff.reset()

    async def _reconnect(self, asked_at: float | None) -> Connection:
        # Who was told to leave comes when told to: then the server has spread the clients over time already.
        now = asyncio.get_running_loop().time()
        delay = self._backoff.next_delay() if asked_at is None else max(0.0, asked_at - now)
        while True:
            await asyncio.sleep(delay)
            try:
                return await self._connect()
            except ParleyError as error:
                if not error.retryable:
                    raise
                delay = max(self._backoff.next_delay(), error.retry_after_ms / 1000)

    async def _connect(self) -> Connection:
        self._rest.token = await self._new_token()
        connection = await Connection.open(self._url, self._rest.token)
        self.user_id = connection.welcome.user_id
        self._inbox.put(connection.welcome)
        return connection

    async def _new_token(self) -> str:
        if isinstance(self._token, str):
            return self._token
        try:
            return await self._token()
        except ParleyError:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something inside of the function was cancelled, and not this client.
            raise TokenSourceError(error) from error
        except Exception as error:
            # The program's own function: whatever it raises, its caller here knows what to do next.
            raise TokenSourceError(error) from error

    def _may_return(self, ended: ParleyError) -> bool:
        # A session that was open and is refused now most likely has an old token: with a source, get a new
        # one. If that is refused as well, `_connect` raises.
        refused = isinstance(ended, SessionEndedError) and ended.close_code == _SESSION_REFUSED
        stale = isinstance(ended, TokenError) or refused
        return ended.retryable or (stale and not isinstance(self._token, str))

    def _on_incoming(self, incoming: FromServer) -> None:
        if not isinstance(incoming, TokenExpiring):
            self._inbox.put(incoming)
        elif not isinstance(self._token, str):
            self._start(self._refresh_token(), "parley-client-refresh")

    async def _refresh_token(self) -> None:
        try:
            self._rest.token = await self._new_token()
            await self._request("refresh-token", {"token": self._rest.token})
        except ParleyError as error:
            # The connection ends with its token, and the next one asks for a token again.
            _log.warning("the token could not be refreshed: %s", error)

    async def _rejoin(self, connection: Connection) -> None:
        missing = self._joined - {head.chat_id for head in connection.welcome.chats}
        backoff = Backoff()
        while missing:
            try:
                errors = await self._join(connection, missing)
            except ParleyError as error:
                errors = dict.fromkeys(missing, error)
            missing = {chat_id for chat_id, error in errors.items() if error.retryable}
            if missing:
                # As long as this connection stands: when it is gone, the next one joins.
                waits = [error.retry_after_ms / 1000 for error in errors.values()]
                await asyncio.sleep(max(backoff.next_delay(), *waits))

    async def _join(self, connection: Connection, chat_ids: set[str]) -> dict[str, ParleyError]:
        data = await connection.request("join-chats", {"chatIds": sorted(chat_ids)}, heads_from)
        return {refused["chatId"]: error_from(refused["error"]) for refused in data["errors"]}

    async def _insist(self, event: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Repeats a frame until it is acked or refused for good."""
        backoff = Backoff()
        while True:
            try:
                return await self._request(event, data)
            except ParleyError as error:
                if not error.retryable:
                    raise
                delay = error.retry_after_ms / 1000
                # A turn of this frame's own is not to be missed: who comes later finds it taken.
                if error.code != _RATE_LIMITED:
                    delay = max(delay, backoff.next_delay())
                await asyncio.sleep(delay)

    async def _request(self, event: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        return await (await self._link.live()).request(event, data)

    async def _page(self, chat_id: str, limit: int, before: int | None) -> Page:
        return await self._rest.history(chat_id, limit=limit, before=before)
