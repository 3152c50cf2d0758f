"""Sending once, receiving everything once and in order, over connections that break."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from parley_client.backoff import Backoff
from parley_client.client import ParleyClient
from parley_client.errors import (
    BusyError,
    ConflictError,
    InputError,
    NotFoundError,
    ParleyError,
    PermissionDeniedError,
    SessionEndedError,
    TokenError,
    UnavailableError,
    UnreachableError,
)
from parley_client.events import Connected, Disconnected, Gap, NewMessage, Typing
from parley_client.order import MAX_RECOVERED
from tests.unit.clients.server import CHAT, LOST_ACK, refusal

if TYPE_CHECKING:
    from parley_client.events import Event
    from tests.unit.clients.server import SmallServer


async def received(client: ParleyClient, count: int) -> list[NewMessage]:
    """The next messages."""
    messages: list[NewMessage] = []
    async with asyncio.timeout(30):
        async for event in client.events():
            if isinstance(event, NewMessage):
                messages.append(event)
                if len(messages) == count:
                    break
    return messages


async def until(client: ParleyClient, kind: type[Event]) -> list[Event]:
    """The next events up to the first of a kind."""
    events: list[Event] = []
    async with asyncio.timeout(30):
        async for event in client.events():
            events.append(event)
            if isinstance(event, kind):
                break
    return events


def contents(messages: list[NewMessage]) -> list[str]:
    return [event.message.content for event in messages]


async def test_a_send_is_acked(server: SmallServer, client: ParleyClient) -> None:
    sent = await client.send_message(CHAT, "hello", mentions=("bob",))
    assert (sent.seq, sent.duplicate, sent.message_id) == (1, False, server.log[0]["id"])
    assert (server.sends[0]["type"], server.sends[0]["mentions"]) == ("text", ["bob"])
    assert server.sends[0]["readSeq"] is None
    await client.send_message(CHAT, "from a bot", read_seq=0)
    assert server.sends[1]["readSeq"] == 0


async def test_a_lost_ack_makes_a_repeat_with_the_same_id_and_one_message(
    server: SmallServer, client: ParleyClient
) -> None:
    server.answers = [LOST_ACK, LOST_ACK]
    sent = await client.send_message(CHAT, "hello")
    assert sent.duplicate
    assert len(server.sends) == 3
    assert len({send["clientMsgId"] for send in server.sends}) == 1
    assert [message["content"] for message in server.log] == ["hello"]


async def test_what_may_pass_is_tried_again_and_not_before_its_time(
    server: SmallServer, client: ParleyClient
) -> None:
    server.answers = [
        refusal("RATE_LIMITED", retryable=True, retry_after_ms=200),
        refusal("UNAVAILABLE", retryable=True),
    ]
    started = asyncio.get_running_loop().time()
    await client.send_message(CHAT, "hello")
    assert asyncio.get_running_loop().time() - started >= 0.2
    assert len({send["clientMsgId"] for send in server.sends}) == 1


async def test_the_turn_that_a_rate_gives_is_taken_however_often_it_comes(
    server: SmallServer, client: ParleyClient
) -> None:
    """A wait that grew with each refusal would miss them all."""
    server.answers = [refusal("RATE_LIMITED", retryable=True, retry_after_ms=1)] * 20
    await client.send_message(CHAT, "hello", timeout_seconds=10)
    assert len(server.sends) == 21


async def test_a_send_that_is_never_acked_says_so(server: SmallServer, client: ParleyClient) -> None:
    server.answers = [refusal("UNAVAILABLE", retryable=True, retry_after_ms=60_000)]
    with pytest.raises(UnreachableError, match="no ack"):
        await client.send_message(CHAT, "hello", timeout_seconds=0.2)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_CONTENT", InputError),
        ("TOKEN_EXPIRED", TokenError),
        ("NOT_A_MEMBER", PermissionDeniedError),
        ("CHAT_NOT_FOUND", NotFoundError),
        ("DUPLICATE_CONFLICT", ConflictError),
        ("RATE_LIMITED", BusyError),
        ("UNAVAILABLE", UnavailableError),
        ("SOMETHING_NEW", ParleyError),
    ],
)
async def test_a_refusal_has_the_type_of_its_code(
    server: SmallServer, client: ParleyClient, code: str, kind: type[ParleyError]
) -> None:
    server.answers = [refusal(code)]
    with pytest.raises(ParleyError) as error:
        await client.send_message(CHAT, "hello")
    assert type(error.value) is kind
    assert error.value.code == code


async def test_a_jump_of_seq_is_filled_from_the_log(server: SmallServer, client: ParleyClient) -> None:
    await server.say("one")
    await server.say("two", live=False)
    await server.say("three", live=False)
    await server.say("four")
    messages = await received(client, 4)
    assert contents(messages) == ["one", "two", "three", "four"]
    assert [event.recovered for event in messages] == [False, True, True, True]
    await server.say("five")
    assert not (await received(client, 1))[0].recovered
    assert server.resumes == [[{"chatId": CHAT, "seq": 1, "epoch": 1}]]


async def test_what_was_said_while_away_comes_once_and_in_order(
    server: SmallServer, client: ParleyClient
) -> None:
    await server.say("before")
    assert contents(await received(client, 1)) == ["before"]
    await server.drop()
    said = [(await server.say(f"missed {number}", live=False))["content"] for number in range(250)]
    await server.connected.wait()
    await server.say("after")
    assert contents(await received(client, 251)) == [*said, "after"]


async def test_a_repeated_frame_is_dropped(server: SmallServer, client: ParleyClient) -> None:
    first = await server.say("one")
    await server.tell("new-message", first)
    await server.say("two")
    await server.tell("new-message", first)
    await server.say("three")
    assert contents(await received(client, 3)) == ["one", "two", "three"]


async def test_resync_fetches_what_no_frame_told(server: SmallServer, client: ParleyClient) -> None:
    await server.say("silent", live=False)
    await server.tell("resync", {"chatId": CHAT})
    assert contents(await received(client, 1)) == ["silent"]


async def test_a_new_chat_begins_where_the_server_joined_us(
    server: SmallServer, client: ParleyClient
) -> None:
    chat = {"id": "d" * 24, "type": "direct", "users": ["alice", "bob"], "unread": 0, "seq": 0, "epoch": 1}
    chat |= {"role": "member", "latestMessage": None, "onlineUserIds": []}
    chat |= dict.fromkeys(("createdAt", "updatedAt"), "2026-01-31T12:00:00.000Z")
    await server.tell("chat-created", {"chat": chat, "actorId": "bob"})
    first = server.store("bob", "first", "x") | {"chatId": "d" * 24}
    await server.tell("new-message", first)
    assert contents(await received(client, 1)) == ["first"]
    assert server.resumes == []


async def test_a_resume_that_fails_for_a_moment_is_asked_again(
    server: SmallServer, client: ParleyClient
) -> None:
    server.refuse_resume = [refusal("UNAVAILABLE", retryable=True)]
    await server.say("silent", live=False)
    await server.say("live")
    assert contents(await received(client, 2)) == ["silent", "live"]
    assert len(server.resumes) == 2


async def test_a_refused_resume_ends_nothing(server: SmallServer, client: ParleyClient) -> None:
    server.refuse_resume = [refusal("NOT_A_MEMBER")]
    await server.tell("resync", {"chatId": CHAT})
    await server.say("live")
    assert contents(await received(client, 1)) == ["live"]


async def test_what_a_refused_resume_leaves_unknown_is_a_gap_and_the_next_come(
    server: SmallServer, client: ParleyClient
) -> None:
    await server.say("one")
    assert contents(await received(client, 1)) == ["one"]
    server.refuse_resume = [refusal("INTERNAL")]
    await server.say("missed", live=False)
    await server.say("dropped, for one is missing before it")
    assert (await until(client, Gap))[-1] == Gap(CHAT)
    await server.say("next")
    assert contents(await received(client, 1)) == ["next"]


async def test_what_comes_in_windows_is_asked_for_to_the_end(
    server: SmallServer, client: ParleyClient
) -> None:
    server.window = 30
    said = [server.store("bob", str(number), str(number))["content"] for number in range(100)]
    await server.tell("resync", {"chatId": CHAT})
    assert contents(await received(client, 100)) == said
    await server.say("live")
    assert contents(await received(client, 1)) == ["live"]
    assert [chats[0]["seq"] for chats in server.resumes] == [0, 30, 60, 90]


async def test_a_log_that_was_made_anew_is_read_from_the_history(
    server: SmallServer, client: ParleyClient
) -> None:
    await server.say("one")
    assert contents(await received(client, 1)) == ["one"]
    await server.drop()
    server.reset, server.epoch = True, 2
    for content in ("two", "three"):
        await server.say(content, live=False)
    server.refuse_history = [refusal("UNAVAILABLE", retryable=True)]
    assert (await until(client, Gap))[-1] == Gap(CHAT)
    assert contents(await received(client, 2)) == ["two", "three"]
    await server.say("four")
    assert contents(await received(client, 1)) == ["four"]
    assert server.refuse_history == []
    assert server.resumes == [[{"chatId": CHAT, "seq": 1, "epoch": 1}]]


async def test_who_stops_listening_in_the_middle_of_it_goes_on_there(
    server: SmallServer, client: ParleyClient
) -> None:
    await server.say("one", live=False)
    server.reset = True
    server.refuse_history = [refusal("UNAVAILABLE", retryable=True, retry_after_ms=60_000)]
    await server.tell("resync", {"chatId": CHAT})
    await until(client, Connected)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(received(client, 1), 0.2)
    assert contents(await received(client, 1)) == ["one"]
    await server.say("two")
    assert contents(await received(client, 1)) == ["two"]


async def test_too_much_to_replay_is_told_and_the_newest_come(
    server: SmallServer, client: ParleyClient
) -> None:
    for number in range(MAX_RECOVERED * 3):
        server.store("bob", str(number), str(number))
    server.window = MAX_RECOVERED
    await server.tell("resync", {"chatId": CHAT})
    assert contents(await received(client, MAX_RECOVERED)) == [str(number) for number in range(MAX_RECOVERED)]
    assert (await until(client, Gap))[-1] == Gap(CHAT)
    newest = contents(await received(client, MAX_RECOVERED))
    assert newest == [str(number) for number in range(MAX_RECOVERED * 2, MAX_RECOVERED * 3)]
    await server.say("live")
    assert contents(await received(client, 1)) == ["live"]


async def test_a_token_that_ends_is_replaced_on_the_connection(server: SmallServer) -> None:
    fresh = iter(["first", "second", "third"])

    async def source() -> str:
        return next(fresh)

    async with ParleyClient(server.url, source, backoff=Backoff(base=0.01)) as client:
        await server.tell("token-expiring", {"expiresInMs": 60_000})
        async with asyncio.timeout(30):
            while server.tokens != ["first", "second"]:
                await asyncio.sleep(0.01)
        await server.drop(4401, "the token has expired")
        await server.connected.wait()
        await client.send_message(CHAT, "hello")
    assert server.tokens == ["first", "second", "third"]


@pytest.mark.parametrize(("code", "kind"), [(4401, TokenError), (4410, SessionEndedError)])
async def test_without_a_source_the_end_of_a_token_is_the_end(
    server: SmallServer, client: ParleyClient, code: int, kind: type[ParleyError]
) -> None:
    await server.tell("token-expiring", {"expiresInMs": 60_000})
    await server.drop(code, "over")
    with pytest.raises(kind):
        await received(client, 1)
    assert len(server.tokens) == 1


async def test_a_refused_token_says_what_is_wrong_with_it(server: SmallServer, client: ParleyClient) -> None:
    await server.drop(4401, "INVALID_TOKEN: the token is not valid")
    with pytest.raises(TokenError, match="the token is not valid") as refused:
        await received(client, 1)
    assert refused.value.code == "INVALID_TOKEN"


async def test_a_revoked_session_is_not_come_back_to(server: SmallServer) -> None:
    async def source() -> str:
        return "token"

    async with ParleyClient(server.url, source) as client:
        await server.drop(4410, "the session was revoked")
        with pytest.raises(SessionEndedError, match="revoked"):
            await received(client, 1)
    assert server.tokens == ["token"]


@pytest.mark.usefixtures("client")
async def test_who_is_told_to_leave_comes_back_at_the_time_told(server: SmallServer) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await server.tell("drain", {"reconnectAfterMs": 300})
    await server.drop(1001, "going away")
    await asyncio.wait_for(server.connected.wait(), 30)
    assert loop.time() - started > 0.29


async def test_frames_that_cannot_be_read_are_skipped(server: SmallServer, client: ParleyClient) -> None:
    await server.tell("new-message", {"id": "nonsense"})
    await server.tell("something-new", {})
    await server.tell("user-typing", None)
    for open_socket in server.sockets:
        await open_socket.send("not json")
        await open_socket.send(b"\xff")
    await server.tell("user-typing", {"chatId": CHAT, "userId": "bob", "isTyping": True})
    assert (await until(client, Typing))[-1] == Typing(CHAT, "bob", is_typing=True)


async def test_chats_joined_by_hand_are_joined_again(server: SmallServer, client: ParleyClient) -> None:
    await client.join(["d" * 24])
    await server.drop()
    await server.connected.wait()
    await client.send_message(CHAT, "the rejoin was sent before this")
    assert server.joins == [["d" * 24]] * 2


@pytest.mark.parametrize("code", [1001, 1011, 1013, 4009])
async def test_a_server_that_goes_away_is_come_back_to(
    server: SmallServer, client: ParleyClient, code: int
) -> None:
    await server.tell("drain", {"reconnectAfterMs": 10})
    await server.drop(code, "going away")
    await server.connected.wait()
    kinds = [type(event) for event in [*await until(client, Disconnected), *await until(client, Connected)]]
    assert kinds == [Connected, Disconnected, Connected]


async def test_a_final_close_ends_events_and_sends(server: SmallServer, client: ParleyClient) -> None:
    await server.drop(4403, "the session was refused")
    with pytest.raises(SessionEndedError, match="the session was refused"):
        await received(client, 1)
    with pytest.raises(SessionEndedError):
        await client.send_message(CHAT, "hello")
    assert len(server.tokens) == 1


async def test_an_old_token_is_replaced_when_there_is_a_source(server: SmallServer) -> None:
    fresh = iter(["first", "second"])

    async def source() -> str:
        return next(fresh)

    async with ParleyClient(server.url, source, backoff=Backoff(base=0.01)) as client:
        await server.drop(4403, "the session was refused")
        await server.connected.wait()
        await client.send_message(CHAT, "hello")
    assert server.tokens == ["first", "second"]


async def test_a_refused_handshake_has_the_type_of_its_code(server: SmallServer) -> None:
    server.refuse = lambda _token: refusal("TOKEN_EXPIRED")
    with pytest.raises(TokenError):
        async with ParleyClient(server.url, "old"):
            pass


async def test_a_refusal_while_coming_back_ends_it(server: SmallServer, client: ParleyClient) -> None:
    server.refuse = lambda _token: refusal("TOKEN_EXPIRED")
    await server.drop()
    with pytest.raises(TokenError):
        await received(client, 1)


async def test_no_server_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"cannot reach http://127.0.0.1:{port}"):
        async with ParleyClient(f"http://127.0.0.1:{port}", "token"):
            pass
