"""What scripted users do: send, read, type, look away, reconnect, make groups, add and remove members."""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from chaos import records
from chaos.catch_up import RestError
from chaos.client import Client
from chaos.records import Journal
from chaos.session import NoAnswerError, SessionLostError

#: One second of one client holds about as many actions.
ACTIONS_PER_SECOND: Final = 3.0
_NO_ANSWER: Final = "NO_ANSWER"
_REMEMBERED: Final = 50


class Script:
    """The life of one client.

    `peers` may be put into new groups. `members` are those whom it, an admin of `churned`, adds and removes.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        *,
        peers: Sequence[str],
        churned: str = "",
        members: Sequence[str] = (),
    ) -> None:
        self._client = client
        self._journal = journal
        self._peers = peers
        self._churned = churned
        self._members = members
        self._keys = itertools.count(1)
        self._acked: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED)
        self._actions: dict[Callable[[], Awaitable[None]], float] = {
            self.send: 78,
            self.repeat: 3,
            self.read: 8,
            self.type: 4,
            self.look_away: 3,
            client.reconnect: 2,
            self.make_group: 0.5,
        }
        if members:
            self._actions[self.change_members] = 8

    async def run(self, stop: asyncio.Event) -> None:
        """Acts until `stop`, and finishes what it began: a message is repeated until it is acked."""
        random = self._client.random
        actions, weights = list(self._actions), list(self._actions.values())
        while not stop.is_set():
            (act,) = random.choices(actions, weights)
            await act()
            await asyncio.sleep(random.expovariate(ACTIONS_PER_SECOND))

    async def send(self) -> None:
        """Sends a new message to one of its chats."""
        if self._client.chats:
            chat_id = self._client.random.choice(list(self._client.chats))
            await self._deliver(chat_id, f"{self._client.name}-{next(self._keys)}")

    async def repeat(self) -> None:
        """Sends a message again that was acked long ago, as a client does that lost its own memory of it."""
        if self._acked:
            await self._deliver(*self._client.random.choice(self._acked))

    async def _deliver(self, chat_id: str, key: str) -> None:
        """Sends a message, again under the same key until there is a final answer."""
        client = self._client
        data = {"chatId": chat_id, "content": f"{key} in {chat_id}", "type": "text", "clientMsgId": key}
        answer = None
        for attempt in itertools.count(1):
            edge = client.edge
            self._journal.write(
                records.Sent(**client.who(), edge=edge, chat_id=chat_id, key=key, attempt=attempt)
            )
            answer = await self._ask("send-message", data)
            if answer is not None:
                break
        if not answer:
            self._journal.write(records.Dropped(**client.who(), chat_id=chat_id, key=key))
            return
        self._acked.append((chat_id, key))
        self._journal.write(
            records.Acked(
                **client.who(),
                edge=edge,
                chat_id=chat_id,
                key=key,
                message_id=answer["messageId"],
                epoch=answer["epoch"],
                seq=answer["seq"],
                number=answer["number"],
                duplicate=answer["duplicate"],
            )
        )

    async def read(self) -> None:
        """Marks a message, or a whole chat, as read."""
        client = self._client
        chat_id = client.random.choice([*client.chats, ""])
        lines = client.views[chat_id].in_order() if chat_id else []
        if not lines:
            return
        if client.random.random() < 0.5:  # noqa: PLR2004 - one or the other
            line = client.random.choice(lines[-5:])
            answer = await self._ask("mark-read", {"chatId": chat_id, "messageId": line.message_id})
        else:
            answer = await self._ask("mark-chat-read", {"chatId": chat_id})
        if answer:
            self._journal.write(records.Read(**client.who(), chat_id=chat_id, seq=answer["seq"]))

    async def type(self) -> None:
        """Types for a moment."""
        if self._client.chats:
            chat_id = self._client.random.choice(list(self._client.chats))
            await self._ask("typing", {"chatId": chat_id, "isTyping": True})

    async def look_away(self) -> None:
        """Leaves the delivery of a chat for a moment, and joins it again."""
        client = self._client
        if not client.chats:
            return
        chat_id, connection = client.random.choice(list(client.chats)), client.connection
        client.look_away(chat_id)
        try:
            await self._be_away(chat_id, connection)
        finally:
            client.look_again(chat_id)

    async def _be_away(self, chat_id: str, connection: int) -> None:
        client = self._client
        if not await self._ask("leave-chats", {"chatIds": [chat_id]}):
            return
        self._write_away(connection, chat_id, away=True)
        await asyncio.sleep(client.random.uniform(0.05, 0.5))
        while client.connection == connection and chat_id in client.chats:  # a new connection joins all
            self._write_away(connection, chat_id, away=False)
            answer = await self._ask("join-chats", {"chatIds": [chat_id]})
            if answer and answer["chats"]:
                head = answer["chats"][0]
                client.head(chat_id, head["epoch"], head["seq"], "head")
            if answer is not None and not any(
                item["error"]["retryable"] for item in answer.get("errors", ())
            ):
                return

    async def make_group(self) -> None:
        """Makes a group with some others."""
        members = self._client.random.sample(self._peers, k=min(3, len(self._peers)))
        try:
            await self._client.api.call("POST", "/groups", {"name": "Made in between", "memberIds": members})
        except RestError as error:
            self._refused("create-group", error.code)

    async def change_members(self) -> None:
        """Adds or removes one member of the group it is admin of, again until that is done."""
        member_id = self._client.random.choice(self._members)
        await self.set_member(member_id, adds=self._client.random.random() < 0.5)  # noqa: PLR2004 - a coin

    async def set_member(self, member_id: str, *, adds: bool) -> None:
        """Adds or removes one member; returns when that is answered as done."""
        asked: dict[str, Any] = {"chat_id": self._churned, "member_id": member_id, "adds": adds}
        path = f"/chats/{self._churned}/members"
        while True:
            self._journal.write(records.MembershipAsked(**self._client.who(), **asked))
            try:
                if adds:
                    await self._client.api.call("POST", path, {"userIds": [member_id]})
                else:
                    await self._client.api.call("DELETE", f"{path}/{member_id}")
            except RestError as error:
                self._refused("change-members", error.code)
                if not error.worth_repeating:
                    return
                await self._client.pause()
            else:
                self._journal.write(records.MembershipDone(**self._client.who(), **asked))
                return

    async def intrude(self, chat_ids: Sequence[str], stop: asyncio.Event) -> None:
        """What an outsider does: tries to join, to read and to write where it does not belong."""
        while not stop.is_set():
            chat_id = self._client.random.choice(chat_ids)
            await self._ask("join-chats", {"chatIds": [chat_id]})
            await self._ask("mark-chat-read", {"chatId": chat_id})
            await asyncio.sleep(0.5)

    async def _ask(self, event: str, data: dict[str, Any]) -> dict[str, Any] | None:
        """The data of the ack; an empty document when it is refused for good; None when a repeat may work."""
        client = self._client
        try:
            reply = await client.ask(event, data)
        except SessionLostError:
            await client.welcomed.wait()
            await client.pause()
            return None
        except NoAnswerError:
            self._refused(event, _NO_ANSWER)
            return None
        answer: dict[str, Any] = reply["data"]
        if reply["event"] == "ack":
            return answer
        self._refused(event, answer["code"])
        if not answer["retryable"]:
            return {}
        await asyncio.sleep(answer["retryAfterMs"] / 1000)
        await client.pause()
        return None

    def _refused(self, event: str, code: str) -> None:
        client = self._client
        self._journal.write(records.Refused(**client.who(), event=event, code=code, edge=client.edge))

    def _write_away(self, connection: int, chat_id: str, *, away: bool) -> None:
        self._journal.write(
            records.Away(**self._client.who(), connection=connection, chat_id=chat_id, away=away)
        )
