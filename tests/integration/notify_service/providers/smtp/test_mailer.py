"""The mailer against a real SMTP server: encryption, logins, reuse, and what each refusal means."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest

from notify_service.ports import SendDelayedError, SendRefusedError, TargetGoneError
from notify_service.providers.smtp.mailer import Security, SmtpMailer, SmtpServer
from tests.support.authority import Authority
from tests.support.providers.smtp_server import HANG, HANG_UP, PASSWORD, USER, MailServer

if TYPE_CHECKING:
    from pathlib import Path


def settings(server: MailServer, authority: Authority, security: Security = "starttls") -> SmtpServer:
    return SmtpServer(
        host="127.0.0.1", port=server.port, security=security, ca_file=authority.ca_file, seconds=5
    )


def letter(to: str = "bob@example.org", subject: str = "hello") -> EmailMessage:
    made = EmailMessage()
    made["From"] = "Parley <chat@example.com>"
    made["To"] = to
    made["Subject"] = subject
    made.set_content("text")
    return made


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
async def test_a_letter_goes_out_encrypted_after_a_login(
    authority: Authority, security: Security, *, implicit: bool
) -> None:
    async with MailServer(tls=authority.server_context(), implicit=implicit, login=True) as server:
        where = replace(settings(server, authority, security), user=USER, password=PASSWORD)
        async with SmtpMailer.open(where) as mailer:
            receipt = await mailer.send(letter())
        (mail,) = await server.mails(1)
    assert receipt == "2.0.0 taken as 1"
    assert (mail.sender, mail.recipient, mail.user) == ("chat@example.com", "bob@example.org", USER)
    assert mail.encrypted
    assert mail.letter["Subject"] == "hello"


async def test_without_starttls_on_offer_nothing_is_sent_and_no_password_either(authority: Authority) -> None:
    async with MailServer() as server:
        where = replace(settings(server, authority), user=USER, password=PASSWORD)
        async with SmtpMailer.open(where) as mailer:
            with pytest.raises(SendDelayedError, match="STARTTLS") as caught:
                await mailer.send(letter())
        assert caught.value.provider_down
        assert server.taken == 0


async def test_a_server_whose_certificate_is_not_trusted_gets_nothing(
    authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    async with (
        MailServer(tls=stranger.server_context()) as server,
        SmtpMailer.open(settings(server, authority)) as mailer,
    ):
        with pytest.raises(SendDelayedError, match="certificate"):
            await mailer.send(letter())
        assert server.taken == 0


async def test_a_certificate_for_another_name_gets_nothing(authority: Authority) -> None:
    elsewhere = authority.server_context("mail.example", addresses=())
    async with (
        MailServer(tls=elsewhere) as server,
        SmtpMailer.open(settings(server, authority)) as mailer,
    ):
        with pytest.raises(SendDelayedError, match="certificate"):
            await mailer.send(letter())


async def test_a_wrong_password_waits_for_the_operator_and_is_not_repeated_in_the_words(
    authority: Authority,
) -> None:
    async with MailServer(tls=authority.server_context(), login=True) as server:
        where = replace(settings(server, authority), user=USER, password="not the password")
        async with SmtpMailer.open(where) as mailer:
            with pytest.raises(SendDelayedError) as caught:
                await mailer.send(letter())
    assert caught.value.provider_down
    assert "535" in str(caught.value)
    assert "not the password" not in str(caught.value)


async def test_plain_smtp_is_used_only_where_it_is_asked_for(authority: Authority) -> None:
    async with MailServer() as server, SmtpMailer.open(settings(server, authority, "none")) as mailer:
        await mailer.send(letter())
        (mail,) = await server.mails(1)
        assert not mail.encrypted


async def test_letters_share_a_connection_also_after_a_refusal(authority: Authority) -> None:
    async with (
        MailServer(tls=authority.server_context()) as server,
        SmtpMailer.open(settings(server, authority)) as mailer,
    ):
        await mailer.send(letter())
        server.script("RCPT", "550 5.1.1 nobody here")
        with pytest.raises(TargetGoneError):
            await mailer.send(letter("nobody@example.org"))
        await mailer.send(letter())
        mails = await server.mails(2)
        assert server.sessions == 1
    assert [mail.recipient for mail in mails] == ["bob@example.org", "bob@example.org"]


async def test_a_connection_carries_fifty_letters(authority: Authority) -> None:
    async with (
        MailServer(tls=authority.server_context()) as server,
        SmtpMailer.open(settings(server, authority)) as mailer,
    ):
        for _ in range(51):
            await mailer.send(letter())
        mails = await server.mails(51)
        assert [mails[at].session for at in (0, 49, 50)] == [1, 1, 2]


async def test_letters_at_once_have_connections_of_their_own(authority: Authority) -> None:
    async with (
        MailServer(tls=authority.server_context()) as server,
        SmtpMailer.open(settings(server, authority)) as mailer,
    ):
        await asyncio.gather(*(mailer.send(letter(subject=str(number))) for number in range(5)))
        mails = await server.mails(5)
        assert {mail.letter["Subject"] for mail in mails} == {"0", "1", "2", "3", "4"}
        assert server.sessions == 5


async def test_a_connection_that_the_server_dropped_costs_no_letter(authority: Authority) -> None:
    async with (
        MailServer(tls=authority.server_context()) as server,
        SmtpMailer.open(settings(server, authority)) as mailer,
    ):
        await mailer.send(letter())
        server.hang_up()
        await mailer.send(letter())
        server.script("RSET", HANG_UP)  # it seems alive and is not
        await mailer.send(letter())
        assert len(await server.mails(3)) == 3
        assert server.sessions == 3


@pytest.mark.parametrize(
    ("command", "answer", "expected", "provider_down"),
    [
        ("RCPT", "550 5.1.1 no such user", TargetGoneError, None),
        ("RCPT", "550 no such user", TargetGoneError, None),
        ("RCPT", "551 moved", TargetGoneError, None),
        ("RCPT", "553 bad name", TargetGoneError, None),
        ("RCPT", "556 5.1.10 takes no mail", TargetGoneError, None),
        ("RCPT", "550 5.2.1 disabled", TargetGoneError, None),
        ("RCPT", "550 5.7.1 blocked by policy", SendRefusedError, None),
        ("RCPT", "554 relay access denied", SendRefusedError, None),
        ("RCPT", "552 5.2.2 over quota", SendRefusedError, None),
        ("RCPT", "450 4.2.0 greylisted", SendDelayedError, False),
        ("RCPT", "452 4.2.2 mailbox full", SendDelayedError, False),
        ("RCPT", "421 4.3.2 going down", SendDelayedError, True),
        ("MAIL", "550 5.7.1 this sender may not", SendDelayedError, True),
        ("MAIL", "451 4.3.0 try later", SendDelayedError, True),
        ("DATA", "554 5.7.1 looks like spam", SendRefusedError, None),
        ("DATA", "451 4.3.0 try later", SendDelayedError, False),
        ("DATA", HANG_UP, SendDelayedError, True),
        ("RCPT", HANG_UP, SendDelayedError, True),
    ],
)
async def test_what_an_answer_means(
    authority: Authority,
    command: str,
    answer: str,
    expected: type[Exception],
    *,
    provider_down: bool | None,
) -> None:
    async with (
        MailServer(tls=authority.server_context()) as server,
        SmtpMailer.open(settings(server, authority)) as mailer,
    ):
        server.script(command, answer)
        with pytest.raises(expected) as caught:
            await mailer.send(letter())
        assert type(caught.value) is expected
        if answer[0].isdigit():
            assert answer in str(caught.value)
        if isinstance(caught.value, SendDelayedError):
            assert caught.value.provider_down is provider_down
        await mailer.send(letter())
        assert len(await server.mails(1)) == 1, "the next letter goes out"


async def test_a_server_that_hangs_is_given_up_in_time(authority: Authority) -> None:
    async with (
        MailServer(tls=authority.server_context()) as server,
        SmtpMailer.open(replace(settings(server, authority), seconds=0.2)) as mailer,
    ):
        for command in ("MAIL", "RCPT", "DATA"):
            server.script(command, HANG)
            with pytest.raises(SendDelayedError):
                await mailer.send(letter())
        await mailer.send(letter())
        assert len(await server.mails(1)) == 1


async def test_a_cancelled_letter_leaves_no_half_spoken_connection(authority: Authority) -> None:
    async with (
        MailServer(tls=authority.server_context()) as server,
        SmtpMailer.open(settings(server, authority)) as mailer,
    ):
        server.script("DATA", HANG)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await mailer.send(letter(subject="cut off"))
        await mailer.send(letter(subject="next"))
        (mail,) = await server.mails(1)
        assert mail.letter["Subject"] == "next"


@pytest.mark.parametrize(
    "greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xfe\r\n", b"220 ok\r\n"]
)
async def test_a_server_that_speaks_something_else(greeting: bytes) -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        where = SmtpServer(host="127.0.0.1", port=server.sockets[0].getsockname()[1], seconds=1)
        async with SmtpMailer.open(where) as mailer:
            with pytest.raises(SendDelayedError) as caught:
                await mailer.send(letter())
    assert caught.value.provider_down


async def test_nobody_listening_is_a_provider_that_is_down() -> None:
    async with MailServer() as server:
        port = server.port
    async with SmtpMailer.open(SmtpServer(host="127.0.0.1", port=port)) as mailer:
        with pytest.raises(SendDelayedError) as caught:
            await mailer.send(letter())
    assert caught.value.provider_down
