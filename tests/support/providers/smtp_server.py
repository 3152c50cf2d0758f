"""A mail server for tests: real SMTP with STARTTLS or TLS and a login, whose answers can be scripted.

async with MailServer(tls=authority.server_context()) as server:
    ...send to 127.0.0.1:server.port...
    server.script("RCPT", "450 4.2.0 try later")
    (mail,) = await server.mails(1)
    assert mail.letter["Subject"] == "1 unread message in Ada"
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import warnings
from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from aiosmtpd.smtp import Envelope, Session

USER = "parley"
PASSWORD = "a password of the tests"
HANG = "hang"
"""In place of an answer: there is none."""
HANG_UP = "hang up"
"""In place of an answer: the connection is cut."""


@dataclass(frozen=True)
class Mail:
    """One mail that was taken."""

    sender: str
    recipient: str
    raw: bytes
    encrypted: bool
    user: str
    """Who was logged in; empty for nobody."""
    session: int
    """Counts the connections from 1."""

    @property
    def letter(self) -> EmailMessage:
        """The mail as a mail program reads it."""
        letter = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(letter, EmailMessage)
        return letter

    @property
    def text(self) -> str:
        """The body as text."""
        return self._body("plain")

    @property
    def html(self) -> str:
        """The body as HTML."""
        return self._body("html")

    def _body(self, kind: str) -> str:
        body = self.letter.get_body((kind,))
        assert isinstance(body, EmailMessage)
        content: str = body.get_content()
        return content


class MailServer:
    """Takes mails on a port of this machine while entered.

    With `tls` it offers STARTTLS, or speaks TLS from the beginning where `implicit`; without it has neither.
    `login` asks for the user and password above.
    """

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, implicit: bool = False, login: bool = False
    ) -> None:
        self.port = 0
        self.sessions = 0
        self._received: list[Mail] = []
        self._tls = tls
        self._implicit = implicit
        self._login = login
        self._answers: defaultdict[str, deque[str]] = defaultdict(deque)
        self._server: asyncio.Server | None = None
        self._connections: list[_Connection] = []

    def script(self, command: str, *answers: str) -> None:
        """How the next `MAIL`, `RCPT`, `DATA` or `RSET` commands are answered; after that as usual."""
        self._answers[command] += answers

    async def mails(self, count: int) -> list[Mail]:
        """The mails that were taken, once there are so many."""
        async with asyncio.timeout(30):
            while len(self._received) < count:
                await asyncio.sleep(0.01)
        return list(self._received)

    @property
    def taken(self) -> int:
        """How many mails were taken."""
        return len(self._received)

    def hang_up(self) -> None:
        """Cuts all connections, as a server does that is restarted."""
        for connection in self._connections:
            connection.cut()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(
            self._connection, "127.0.0.1", self.port, ssl=self._tls if self._implicit else None
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            await connection.end()
        self._connections.clear()
        await self._server.wait_closed()

    def _connection(self) -> _Connection:
        self.sessions += 1
        with warnings.catch_warnings():
            # It warns of logins without STARTTLS, and does not see that the connection has TLS already.
            warnings.simplefilter("ignore", UserWarning)
            connection = _Connection(
                _Hooks(self, self.sessions),
                loop=asyncio.get_running_loop(),
                hostname="mail.test",
                tls_context=None if self._implicit else self._tls,
                auth_required=self._login,
                auth_require_tls=not self._implicit,
                authenticator=_check_login if self._login else None,
            )
        self._connections.append(connection)
        return connection

    async def answer(self, command: str, connection: SMTP) -> str | None:
        """The scripted answer to a command; None for the usual one."""
        answers = self._answers[command]
        if not answers:
            return None
        answer = answers.popleft()
        if answer == HANG:
            await asyncio.Event().wait()
        if answer == HANG_UP:
            assert isinstance(connection, _Connection)
            connection.cut()
            await asyncio.Event().wait()
        return answer

    def keep(self, mail: Mail) -> None:
        """Takes a mail."""
        self._received.append(mail)


class _Connection(SMTP):
    """One session; the library's own has no way to end it from outside."""

    def cut(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def end(self) -> None:
        self.cut()
        task = self._handler_coroutine
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class _Hooks:
    """What aiosmtpd calls for each command; the names are its own."""

    def __init__(self, server: MailServer, session: int) -> None:
        self._server = server
        self._number = session

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := await self._server.answer("MAIL", server):
            return answer
        envelope.mail_from = address
        envelope.mail_options += options
        return "250 2.1.0 ok"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := await self._server.answer("RCPT", server):
            return answer
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options += options
        return "250 2.1.5 ok"

    async def handle_RSET(self, server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        return await self._server.answer("RSET", server) or "250 2.0.0 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if answer := await self._server.answer("DATA", server):
            return answer
        assert isinstance(envelope.content, bytes)
        assert envelope.mail_from is not None
        login: Any = session.auth_data
        (recipient,) = envelope.rcpt_tos
        self._server.keep(
            Mail(
                sender=envelope.mail_from,
                recipient=recipient,
                raw=envelope.content,
                encrypted=server.transport is not None
                and server.transport.get_extra_info("sslcontext") is not None,
                user=login.login.decode() if isinstance(login, LoginPassword) else "",
                session=self._number,
            )
        )
        return f"250 2.0.0 taken as {self._server.taken}"


def _check_login(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: object
) -> AuthResult:
    good = isinstance(login, LoginPassword) and login == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False, auth_data=login)
