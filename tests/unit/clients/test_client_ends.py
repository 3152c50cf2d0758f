"""Every waiter of the client ends, and nothing that the program did not take is dropped without a word."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from parley_client import (
    Backoff,
    ClientClosedError,
    ClientDefectError,
    Connected,
    Disconnected,
    Gap,
    InputError,
    NewMessage,
    ParleyClient,
    Presence,
    SessionEndedError,
    TokenSource,
    TokenSourceError,
)
from tests.unit.clients.server import CHAT, refusal
from tests.unit.clients.test_client import received, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from parley_client import Event
    from tests.unit.clients.server import SmallServer

CALLS: dict[str, Callable[[ParleyClient], Awaitable[Any]]] = {
    "mark_read": lambda client: client.mark_read(CHAT, "a" * 24),
    "join": lambda client: client.join([CHAT]),
    "typing": lambda client: client.set_typing(CHAT, is_typing=True),
    "send": lambda client: client.send_message(CHAT, "hello"),
    "chats": lambda client: client.chats(),
    "history": lambda client: client.history(CHAT),
}


async def all_events(client: ParleyClient) -> list[Event]:
    return [event async for event in client.events()]


async def fixed() -> str:
    return "t"


def client_of(server: SmallServer, token: TokenSource = fixed) -> ParleyClient:
    return ParleyClient(server.url, token, backoff=Backoff(base=0.01, cap=0.05))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_client_that_was_left_answers_every_call_at_once(
    server: SmallServer, call: Callable[[ParleyClient], Awaitable[Any]]
) -> None:
    async with client_of(server) as client:
        await until(client, Connected)
    async with asyncio.timeout(30):
        with pytest.raises(ClientClosedError):
            await call(client)
        assert await all_events(client) == []


async def test_leaving_ends_what_waits_for_a_connection(server: SmallServer) -> None:
    server_is_gone = ConnectionError("no token while the server is gone")
    asked = asyncio.Event()

    async def token() -> str:
        if server.connected.is_set():
            asked.set()
            raise server_is_gone
        return "t"

    async with client_of(server, token) as client:
        await until(client, Connected)
        for socket in tuple(server.sockets):
            socket.transport.abort()
        await asyncio.wait_for(asked.wait(), 30)  # it is coming back, and cannot
        calls = (CALLS[name](client) for name in ("mark_read", "join", "typing", "send"))
        listening = asyncio.create_task(all_events(client))
        waiting = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)  # all of them have begun
    async with asyncio.timeout(30):
        events = await listening
        refused = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(event) for event in events] == [Disconnected]
    assert [type(error) for error in refused] == [ClientClosedError] * 4


async def test_a_token_function_that_fails_once_is_asked_again(server: SmallServer) -> None:
    raised = [KeyError("no session"), RuntimeError("the provider is down"), asyncio.CancelledError()]
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        if asked > 1 and raised:
            raise raised.pop(0)
        return f"token-{asked}"

    async with client_of(server, token) as client:
        await until(client, Connected)
        await server.drop()
        await until(client, Connected)
        assert server.tokens == ["token-1", "token-5"]
        await client.send_message(CHAT, "still here")


async def test_a_token_function_that_fails_at_first_is_told(server: SmallServer) -> None:
    async def token() -> str:
        raise KeyError("no session")

    with pytest.raises(TokenSourceError, match="no session") as told:
        async with client_of(server, token):
            pass
    assert isinstance(told.value.__cause__, KeyError)


async def test_a_defect_ends_every_waiter_and_says_so(
    server: SmallServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(server) as client:
        await until(client, Connected)

        def broken(_ended: Exception) -> bool:
            raise ZeroDivisionError

        monkeypatch.setattr(client, "_may_return", broken)
        await server.drop()
        async with asyncio.timeout(30):
            with pytest.raises(ClientDefectError):
                await all_events(client)
            with pytest.raises(ClientDefectError):
                await client.mark_read(CHAT, "a" * 24)


async def test_the_first_reason_counts(server: SmallServer) -> None:
    async with client_of(server) as client:
        await until(client, Connected)
        await server.drop(4410, "revoked")
        with pytest.raises(SessionEndedError):
            await all_events(client)
    with pytest.raises(SessionEndedError):
        await client.mark_chat_read(CHAT)


async def test_a_refusal_without_an_id_is_the_answer_of_the_one_that_waits(server: SmallServer) -> None:
    server.answers = [{**refusal("INVALID_ARGUMENT"), "id": None}]
    async with client_of(server) as client:
        with pytest.raises(InputError):
            await client.send_message(CHAT, "unreadable")


async def test_a_refusal_without_an_id_makes_all_that_wait_try_again(server: SmallServer) -> None:
    async with client_of(server) as client:
        server.answers = [{**refusal("INVALID_ARGUMENT"), "id": None}]
        both = await asyncio.gather(client.send_message(CHAT, "one"), client.send_message(CHAT, "two"))
    assert sorted(message["content"] for message in server.log) == ["one", "two"]
    assert len({sent.message_id for sent in both}) == 2


async def test_what_is_not_taken_is_a_gap_and_the_messages_follow(server: SmallServer) -> None:
    async with client_of(server) as client:
        client._inbox._limit = 50
        for number in range(30):
            await server.say(str(number))
        await server.tell("user-online", {"userId": "bob"})
        for _ in range(30):
            await server.tell("user-typing", {"chatId": "d" * 24, "userId": "bob", "isTyping": True})
        await client.mark_read(CHAT, "a" * 24)  # all of it has arrived by now
        messages = await received(client, 30)
        assert [event.message.content for event in messages] == [str(number) for number in range(30)]
        await server.say("more")
        (more,) = await received(client, 1)
        assert more.message.content == "more"


async def test_a_gap_names_each_chat_once_and_nobody_for_presence(server: SmallServer) -> None:
    async with client_of(server) as client:
        client._inbox._limit = 50
        await server.tell("user-online", {"userId": "bob"})
        for number in range(25):
            await server.say(str(number))
            await server.tell("user-typing", {"chatId": CHAT, "userId": "bob", "isTyping": True})
        await client.mark_read(CHAT, "a" * 24)
        events = await until(client, NewMessage)
    assert isinstance(events[0], Connected)
    assert sorted(event.chat_id for event in events if isinstance(event, Gap)) == ["", CHAT]
    assert not any(isinstance(event, Presence) for event in events)
