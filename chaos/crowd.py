"""The users of a run, their devices, and the chats that they begin with."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import httpx

from chaos.catch_up import RestError
from chaos.client import Client, Door
from chaos.evidence import ClientView
from chaos.records import Journal
from chaos.script import Script

_USERS: Final = 8
_SETUP_SECONDS: Final = 30.0


class Crowd:
    """All devices, spread over the edges: one per user, a second one of the first user, and an outsider.

    `tag` begins all user ids, so that several crowds can live on one mesh.
    """

    def __init__(
        self, doors: Sequence[Door], journal: Journal, http: httpx.AsyncClient, *, seed: int, tag: str = ""
    ) -> None:
        self.users = [f"{tag}user-{number}" for number in range(_USERS)]
        self.absent = f"{tag}absent"
        """A member of two groups who never connects, and so must be notified of every message there."""
        outsider = f"{tag}outsider"
        first = self.users[0]
        names = [*((user, f"{user}.1") for user in self.users), (first, f"{first}.2"), (outsider, outsider)]
        devices = [
            Client(
                name,
                user,
                doors if number % 2 else tuple(reversed(doors)),
                journal,
                http,
                seed=seed * 100 + number,
            )
            for number, (user, name) in enumerate(names)
        ]
        self.clients, self.outsider = devices[:-1], devices[-1]
        self.chats: list[str] = []
        self._scripts: list[Script] = []
        self._journal = journal

    @property
    def everyone(self) -> list[Client]:
        """All devices, the outsider's too."""
        return [*self.clients, self.outsider]

    async def make_chats(self) -> None:
        """Makes the first chats and writes the scripts; all devices must be connected."""
        admin = self.clients[0]
        team = await _make(admin, "/groups", {"name": "All", "memberIds": [*self.users, self.absent]})
        few = await _make(
            self.clients[1], "/groups", {"name": "Few", "memberIds": [*self.users[:4], self.absent]}
        )
        churned = await _make(admin, "/groups", {"name": "Churned", "memberIds": self.users})
        pair = await _make(self.clients[2], "/chats", {"userId": self.users[3]})
        self.chats = [team, few, churned, pair]
        self._scripts = [
            Script(
                client,
                self._journal,
                peers=[*self.users, self.absent],
                churned=churned,
                members=self.users[4:] if client is admin else (),
            )
            for client in self.clients
        ]

    def act(self, stop: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        """The lives of all, until `stop` and until what was begun is finished."""
        intruder = Script(self.outsider, self._journal, peers=())
        return [*(script.run(stop) for script in self._scripts), intruder.intrude(self.chats, stop)]

    async def come_again(self, seconds: float) -> bool:
        """All connect once more; whether, in that time, they came to know all that they could."""
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(client.reconnect() for client in self.everyone))
                while not all(client.is_current for client in self.everyone):  # noqa: ASYNC110 - of many parts
                    await asyncio.sleep(0.05)
        except TimeoutError:
            return False
        return True

    def views(self) -> dict[str, ClientView]:
        """What each device believes now."""
        return {
            client.name: ClientView(
                client.user_id,
                {chat: client.views[chat].in_order() for chat in client.chats},
                {chat: client.views[chat].changes for chat in client.chats},
                {chat: client.views[chat].reloaded for chat in client.chats},
            )
            for client in self.everyone
        }


async def _make(client: Client, path: str, body: dict[str, Any]) -> str:
    async with asyncio.timeout(_SETUP_SECONDS):
        while True:
            try:
                made = await client.api.call("POST", path, body)
            except RestError as error:
                if not error.worth_repeating:
                    raise
                await client.pause()
                continue
            chat_id: str = next(iter(made.values()))["id"]
            return chat_id
