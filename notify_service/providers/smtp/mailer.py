"""Sends e-mail over SMTP (RFC 5321), encrypted unless the settings say otherwise, on reused connections."""

import asyncio
import re
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Final, Literal, Self

import aiosmtplib
from aiosmtplib import (
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
)
from typing_extensions import override

from contract.text import one_line
from mesh.lifecycle import Lifecycle
from notify_service.domain.device import DeviceKind
from notify_service.domain.ledger import cut_detail
from notify_service.ports import Mailer, SendDelayedError, SendError, SendRefusedError, TargetGoneError
from notify_service.providers.context import log_disabled
from notify_service.settings import NotifySettings

PROVIDER: Final = "smtp"
"""There is one mail server, so all mails share its rate and its breaker."""

Security = Literal["starttls", "tls", "none"]

# Servers wait 5 minutes for the next command (RFC 5321, 4.5.3.2.7), but many are less patient.
_IDLE_SECONDS: Final = 30.0
# Some servers end a session after a number of mails; 100 is a common one.
_MAILS_PER_CONNECTION: Final = 50
_ENHANCED: Final = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)", re.ASCII)
# RFC 3463, RFC 7505: no such mailbox or domain, bad syntax, moved away, takes no mail, mailbox disabled.
_NO_MAILBOX: Final = frozenset({(1, 1), (1, 2), (1, 3), (1, 6), (1, 10), (2, 1)})
# What these mean for a recipient where a server gives no enhanced code (RFC 5321, 4.2.3).
_NO_MAILBOX_PLAIN: Final = frozenset({550, 551, 553})
_SHUTTING_DOWN: Final = 421
_PERMANENT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Where and how mails are handed over."""

    host: str
    port: int
    user: str = ""
    """Empty: no login."""
    password: str = field(default="", repr=False)
    security: Security = "starttls"
    ca_file: Path | None = None
    """Certificates that are trusted besides the public ones."""
    seconds: float = 10.0
    """How long it may take to hand a mail over, from resolving the name to the last answer."""


@dataclass(slots=True)
class _Connection:
    client: aiosmtplib.SMTP
    mails: int = 0
    idle_since: float = 0.0

    @property
    def is_worn(self) -> bool:
        """Whether the server may be tired of it."""
        idle_seconds = time.monotonic() - self.idle_since
        return idle_seconds > _IDLE_SECONDS or self.mails >= _MAILS_PER_CONNECTION


class SmtpMailer(Mailer):
    """A `Mailer` with as many connections as messages are under way; idle ones wait for the next."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._tls = ssl.create_default_context()
        if server.ca_file is not None:
            self._tls.load_verify_locations(server.ca_file)
        self._idle: deque[_Connection] = deque()
        self._hostname = ""

    @classmethod
    @asynccontextmanager
    async def open(cls, server: SmtpServer) -> AsyncIterator[Self]:
        """The mailer while entered; connects when the first message is sent."""
        mailer = cls(server)
        try:
            yield mailer
        finally:
            while mailer._idle:
                await _quit(mailer._idle.popleft())

    @override
    async def send(self, message: EmailMessage) -> str:
        try:
            async with asyncio.timeout(self._server.seconds):
                return await self._send(message)
        except TimeoutError as error:
            raise SendDelayedError(f"the mail server: no answer within {self._server.seconds:g} s") from error

    async def _send(self, message: EmailMessage) -> str:
        sender = message["From"].addresses[0].addr_spec
        recipient = message["To"].addresses[0].addr_spec
        content = message.as_bytes()
        try:
            connection = await self._connection()
        except (SMTPException, OSError) as error:
            raise _no_service(error) from error
        try:
            _, detail = await connection.client.sendmail(sender, [recipient], content)
        except ValueError as error:
            self._give_back(connection)
            raise SendRefusedError("the address cannot be sent to") from error
        except (SMTPResponseException, SMTPRecipientsRefused) as error:
            self._give_back(connection)
            raise _refusal(error) from error
        except (SMTPException, OSError) as error:
            connection.client.close()
            raise _no_service(error) from error
        except BaseException:
            connection.client.close()  # in the middle of something: of no use to anybody
            raise
        self._give_back(connection)
        return _detail(detail)

    async def _connection(self) -> _Connection:
        """One that is known to work: the last used first, so that those not needed grow old."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_worn:
                await _quit(connection)
            elif await _answers(connection):
                return connection
        return await self._connect()

    async def _connect(self) -> _Connection:
        server = self._server
        if not self._hostname:
            # May ask DNS, which blocks.
            self._hostname = await asyncio.to_thread(socket.getfqdn)
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password if server.user else None,
            local_hostname=self._hostname,
            timeout=None,  # `send` has one for all of it
            use_tls=server.security == "tls",
            # True, not None: where there is no STARTTLS on offer nothing is sent in the clear.
            start_tls=server.security == "starttls",
            tls_context=self._tls,
        )
        await client.connect()
        return _Connection(client)

    def _give_back(self, connection: _Connection) -> None:
        # Nothing is waited for: the mail is taken, and a time-out now would send it once more.
        if connection.client.is_connected:
            connection.mails += 1
            connection.idle_since = time.monotonic()
            self._idle.append(connection)


async def _answers(connection: _Connection) -> bool:
    """Whether the server still keeps it; asked before a mail, so that no mail is in doubt for it."""
    try:
        await connection.client.rset()
    except (SMTPException, OSError):
        connection.client.close()
        return False
    except BaseException:
        connection.client.close()
        raise
    return True


async def _quit(connection: _Connection) -> None:
    try:
        await connection.client.quit(timeout=1.0)
    except (SMTPException, OSError):
        pass  # it is over either way
    finally:
        connection.client.close()


def _no_service(error: Exception) -> SendError:
    """There was no session to hand a mail over in, or it broke off: nothing that is up to this mail."""
    if isinstance(error, SMTPResponseException):
        return SendDelayedError(f"the mail server refused the session: {_answer(error)}")
    return SendDelayedError(f"the mail server: {_detail(str(error) or type(error).__name__)}")


def _refusal(error: SMTPResponseException | SMTPRecipientsRefused) -> SendError:
    """What an answer to a mail means: for this recipient, for this mail, or for all of them."""
    if isinstance(error, SMTPRecipientsRefused):
        # There is one recipient.
        return _of_recipient(error.recipients[0])
    if isinstance(error, SMTPRecipientRefused):
        return _of_recipient(error)
    detail = _answer(error)
    if isinstance(error, SMTPDataError):
        if error.code >= _PERMANENT:
            return SendRefusedError(detail)
        return SendDelayedError(detail, provider_down=error.code == _SHUTTING_DOWN)
    # The session, or the sender that the settings name: no other mail would fare better.
    return SendDelayedError(detail)


def _of_recipient(error: SMTPRecipientRefused) -> SendError:
    detail = _answer(error)
    if error.code < _PERMANENT:
        # Greylisting, a full mailbox: others may be taken.
        return SendDelayedError(detail, provider_down=error.code == _SHUTTING_DOWN)
    enhanced = _ENHANCED.match(error.message)
    if enhanced is None:
        gone = error.code in _NO_MAILBOX_PLAIN
    else:
        # 550 5.7.1 is a policy, and no word about the mailbox.
        gone = (int(enhanced[2]), int(enhanced[3])) in _NO_MAILBOX
    return TargetGoneError(detail) if gone else SendRefusedError(detail)


def _answer(error: SMTPResponseException) -> str:
    return _detail(f"{error.code} {error.message}")


def _detail(text: str) -> str:
    return cut_detail(one_line(text))


async def open_mailer(settings: NotifySettings, lifecycle: Lifecycle) -> SmtpMailer | None:
    """What mails go through; without a mail server there is none, and one line in the log."""
    if not settings.notify_smtp_host:
        log_disabled(DeviceKind.EMAIL, "PARLEY_NOTIFY_SMTP_HOST")
        return None
    server = SmtpServer(
        host=settings.notify_smtp_host,
        port=settings.notify_smtp_port,
        user=settings.notify_smtp_user,
        password=settings.notify_smtp_password.get_secret_value(),
        security=settings.notify_smtp_security,
        ca_file=settings.notify_ca_file,
        seconds=settings.notify_send_seconds,
    )
    return await lifecycle.enter(SmtpMailer.open(server))
