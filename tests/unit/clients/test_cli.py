"""The command line: what it prints and its exit codes."""

from __future__ import annotations

import asyncio
import io
import socket
from typing import TYPE_CHECKING

import pytest

from parley_client import ParleyClient
from parley_client.chat import Conversation
from parley_client.cli import main
from parley_client.screen import plain
from tests.unit.clients.server import CHAT, refusal

if TYPE_CHECKING:
    from tests.unit.clients.server import SmallServer


async def run(server: SmallServer, command: str, *arguments: str) -> int:
    session = ["--as", "alice", "--token", "token", "--url", server.url]
    return await asyncio.to_thread(main, [command, *session, *arguments])


async def test_what_was_read_is_not_told_to_have_arrived_later(
    server: SmallServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with ParleyClient(server.url, "t") as client:
        conversation = Conversation(client, CHAT)
        conversation.sent(2)
        for what, seq in (("message-delivered", 1), ("message-read", 2), ("message-delivered", 2)):
            who = {"userId": "bob", "readBy": "bob"}
            await server.tell(what, {"chatId": CHAT, "messageId": "a" * 24, "seq": seq, **who})
        await server.say("and so on")
        showing = asyncio.create_task(conversation.show())
        while "and so on" not in (shown := capsys.readouterr().out):
            await asyncio.sleep(0.01)
        showing.cancel()
    assert [line for line in shown.splitlines() if "bob ✓✓" in line] == ["* read by bob ✓✓"]


async def test_send_prints_the_ack(server: SmallServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(server, "send", "--chat", CHAT, "hello") == 0
    assert f"✓ sent (seq 1) message {server.log[0]['id']} in chat {CHAT}" in capsys.readouterr().out


async def test_chat_shows_the_last_lines_and_sends_those_piped_in(
    server: SmallServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        last = await server.say(f"old {number}")
    monkeypatch.setattr("sys.stdin", io.StringIO("first\n\nsecond\n"))
    assert await run(server, "chat", "--chat", CHAT, "--history", "2") == 0
    shown = [line[9:] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["bob: old 1", "bob: old 2", "✓ sent (seq 4)", "✓ sent (seq 5)"]
    assert [message["content"] for message in server.log[3:]] == ["first", "second"]
    assert server.reads == [last["id"]]


async def test_a_refused_message_is_one_clear_line(
    server: SmallServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [refusal("NOT_A_MEMBER")]
    assert await run(server, "send", "--chat", CHAT, "hello") == 1
    assert capsys.readouterr().err == "parley: no (NOT_A_MEMBER)\n"


async def test_a_bad_token_has_its_own_exit_code(server: SmallServer) -> None:
    server.refuse = lambda _token: refusal("INVALID_TOKEN")
    assert await run(server, "listen") == 77


def test_a_missing_server_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert main(["send", "--as", "alice", "--to", "bob", "--url", url, "hello"]) == 69
    assert capsys.readouterr().err.startswith(f"parley: cannot reach {url}")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["send", "--as", "alice", "hello"],
        ["send", "--as", "alice", "--to", "bob", "--chat", CHAT, "hello"],
        ["listen", "--as", "alice", "--url", "127.0.0.1:8080"],
        ["chat", "--as", "alice", "--to", "bob", "--history", "101"],
        ["send", "--as", "alice", "--to", "b\udcff", "hello"],
        ["send", "--as", "alice", "--to", "bob", "hell\udcff"],
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_a_message_cannot_steer_the_terminal() -> None:
    assert plain("a\x1b[2Jb\rc\nd\u202ee é 😀") == "a·[2Jb·c d·e é 😀"
