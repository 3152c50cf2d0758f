"""One device of a scripted user: stays connected, keeps its view of each chat, writes everything down."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx

from chaos import records
from chaos.catch_up import Api, RestError, Resumed, line_of, missed, resumed
from chaos.records import Journal
from chaos.session import Frame, NoAnswerError, Session, SessionLostError
from chaos.view import Verdict, View

_RETRY_SECONDS: Final = (0.05, 0.3)
_WELCOME_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Door:
    """An edge as clients reach it."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class _Lack:
    """That a chat lacks entries, since when, and how many were found so far."""

    why: str
    since: float
    found: int = 0


class Client:
    """Supervise `run` and `catch_up_for_ever`; the other methods may be called at any time."""

    def __init__(
        self,
        name: str,
        user_id: str,
        doors: Sequence[Door],
        journal: Journal,
        http: httpx.AsyncClient,
        *,
        seed: int,
    ) -> None:
        self.name: Final = name
        self.user_id: Final = user_id
        self.api = Api(user_id, http)
        self.random = random.Random(seed)  # noqa: S311 - a script that a seed repeats
        self.views: dict[str, View] = {}
        self.chats: dict[str, None] = {}
        """Where the client believes that it belongs, in the order of learning it."""
        self.connection = 0
        self.welcomed = asyncio.Event()
        self._doors = list(doors)
        self._journal = journal
        self._session: Session | None = None
        self._missing: dict[str, _Lack] = {}
        self._away: set[str] = set()
        self._catching_up: frozenset[str] = frozenset()
        self._some_missing = asyncio.Event()

    @property
    def edge(self) -> str:
        """The edge it is with, or tries to be."""
        return self._doors[0].name

    @property
    def is_current(self) -> bool:
        """Whether it is connected and knows of nothing that it lacks."""
        return self.welcomed.is_set() and not self._missing and not self._catching_up

    def who(self) -> dict[str, Any]:
        """The fields that begin each of its records."""
        return {"at": self._journal.now, "client": self.name, "user_id": self.user_id}

    async def run(self) -> None:
        """Connects, again after each loss and then with the next edge, until cancelled."""
        attempt = 0
        while True:
            attempt += 1
            self.connection += 1
            self.api.port = self._doors[0].port
            reason = await self._one_session()
            was_welcomed = self.welcomed.is_set()
            self.welcomed.clear()
            self._session = None
            self._journal.write(
                records.Lost(**self.who(), connection=self.connection, edge=self.edge, reason=reason)
            )
            self._doors.append(self._doors.pop(0))
            attempt = 0 if was_welcomed else attempt
            # docs/websocket-protocol.md: a growing wait with full jitter. Shorter here: the run is short.
            await asyncio.sleep(self.random.uniform(0, min(2.0, 0.1 * 2 ** min(attempt, 8))))

    async def reconnect(self) -> None:
        """Leaves, and returns when the next connection was welcomed."""
        if self._session is not None:
            self.welcomed.clear()
            await self._session.close()
        await self.welcomed.wait()

    async def ask(self, event: str, data: Mapping[str, Any]) -> Frame:
        """Sends a frame on the connection that is there now.

        Raises:
            SessionLostError, NoAnswerError: as `Session.ask`.
        """
        if self._session is None or not self.welcomed.is_set():
            raise SessionLostError
        return await self._session.ask(event, data)

    async def pause(self) -> None:
        """The short wait before something is tried again."""
        await asyncio.sleep(self.random.uniform(*_RETRY_SECONDS))

    def head(self, chat_id: str, epoch: int, seq: int, why: str) -> None:
        """The server said where the log of a chat of this client stands."""
        self.chats[chat_id] = None
        if self.views.setdefault(chat_id, View()).hear(epoch, seq):
            self._lacks(chat_id, why)

    def look_away(self, chat_id: str) -> None:
        """What a chat lacks can wait, since to resume it is to join it."""
        self._away.add(chat_id)

    def look_again(self, chat_id: str) -> None:
        """The opposite of `look_away`."""
        self._away.discard(chat_id)
        self._some_missing.set()

    async def catch_up_for_ever(self) -> None:
        """Gets what is missing, of all chats at once, until cancelled."""
        while True:
            await self._some_missing.wait()
            self._some_missing.clear()
            while lacks := {chat: lack for chat, lack in self._missing.items() if chat not in self._away}:
                for chat_id in lacks:
                    # Taken out before: what is missed meanwhile is noted again.
                    del self._missing[chat_id]
                self._catching_up = frozenset(lacks)
                again = await self._catch_up(lacks)
                self._catching_up = frozenset()
                for chat_id in again.keys() & self.chats.keys():
                    self._missing[chat_id] = again[chat_id]

    async def _one_session(self) -> str:
        try:
            session = await Session.open(self._doors[0].port, self.user_id, self._on_frame)
        except SessionLostError as error:
            return str(error)
        self._session = session
        reading = asyncio.create_task(session.read(), name=f"{self.name} reads")
        welcomed = asyncio.create_task(self.welcomed.wait(), name=f"{self.name} waits for its welcome")
        try:
            await asyncio.wait(
                (reading, welcomed), timeout=_WELCOME_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            return await reading if reading.done() or welcomed.done() else "no welcome"
        finally:
            welcomed.cancel()
            reading.cancel()
            await session.close()

    def _on_frame(self, frame: Frame) -> None:
        event, data = frame["event"], frame["data"]
        chat_id = data.get("chatId", "") if event != "chat-created" else data["chat"]["id"]
        self._journal.write(
            records.Saw(
                **self.who(),
                connection=self.connection,
                event=event,
                chat_id=chat_id,
                epoch=data.get("epoch", 0),
                seq=data.get("seq", 0),
                message_id=data.get("id") or data.get("messageId") or "",
                sender_id=data.get("senderId", ""),
                key=data.get("clientMsgId", ""),
                reader_id=data.get("readBy", "") if event in {"message-read", "chat-read"} else "",
            )
        )
        match event:
            case "welcome":
                self._on_welcome(data)
            case "chat-created":
                self.head(chat_id, data["chat"]["epoch"], data["chat"]["seq"], "added")
            # With a position it is an entry that a resume tells: the user was out, and is back.
            case "member-removed" if data["userId"] == self.user_id and not data["seq"]:
                self.chats.pop(chat_id, None)
                self._missing.pop(chat_id, None)
            case "resync":
                self._lacks(chat_id, "resync")
            case "new-message" | "member-added" | "member-removed" | "chat-updated":
                self._on_entry(event, data)

    def _on_welcome(self, data: Mapping[str, Any]) -> None:
        self._journal.write(records.Opened(**self.who(), connection=self.connection, edge=self.edge))
        self.chats.clear()
        self._missing.clear()
        self._away.clear()
        for head in data["chats"]:
            self.head(head["chatId"], head["epoch"], head["seq"], "head")
        self.welcomed.set()

    def _on_entry(self, event: str, data: Mapping[str, Any]) -> None:
        view = self.views.setdefault(data["chatId"], View())
        line = line_of(data) if event == "new-message" else None
        verdict = view.live(data["epoch"], data["seq"], line)
        if data["chatId"] in self._catching_up:
            return  # looked at when all of it is there
        match verdict:
            case Verdict.GAP:
                self._lacks(data["chatId"], "gap")
            case Verdict.NEW_EPOCH:
                self._lacks(data["chatId"], "epoch")

    def _lacks(self, chat_id: str, why: str) -> None:
        if chat_id in self.chats:
            self._missing.setdefault(chat_id, _Lack(why, self._journal.now))
            self._some_missing.set()

    async def _catch_up(self, lacks: Mapping[str, _Lack]) -> dict[str, _Lack]:
        """Asks for what these chats lack; the answer is what they lack still."""
        views = {chat_id: self.views[chat_id] for chat_id in lacks}
        before = {chat_id: view.size for chat_id, view in views.items()}
        cursors = [
            {"chatId": chat_id, "seq": view.last, "epoch": view.epoch} for chat_id, view in views.items()
        ]
        for chat_id, view in views.items():
            place: dict[str, Any] = {"chat_id": chat_id, "epoch": view.epoch, "seq": view.last}
            self._journal.write(records.Resuming(**self.who(), connection=self.connection, **place))
        try:
            reply = await self.ask("resume", {"chats": cursors})
        except SessionLostError:
            return {}  # the next welcome tells all heads
        except NoAnswerError:
            return dict(lacks)
        if reply["event"] == "error":
            await self.pause()
            return dict(lacks)
        again: dict[str, _Lack] = {}
        for chat_id, told in resumed(reply["data"]):
            whole = await self._is_whole(chat_id, told)
            lack = replace(lacks[chat_id], found=lacks[chat_id].found + views[chat_id].size - before[chat_id])
            if whole:
                self._caught_up(chat_id, lack, reloaded=told.reset)
            elif not told.for_good:  # else removed meanwhile: its frame, or the next welcome, tells
                again[chat_id] = lack
        if again:
            await self.pause()
        return again

    async def _is_whole(self, chat_id: str, told: Resumed) -> bool:
        """Whether the view lacks nothing that was heard of, after what `resume` did for it."""
        view = self.views[chat_id]
        if told.refused:
            return False
        if not told.reset:
            return view.resumed(told.epoch, told.seq) and told.complete
        try:
            lines = await missed(self.api, chat_id, 0)
        except RestError:
            return False
        return view.fetched(lines, (told.epoch, told.seq))

    def _caught_up(self, chat_id: str, lack: _Lack, *, reloaded: bool) -> None:
        self._journal.write(
            records.CaughtUp(
                **self.who(),
                chat_id=chat_id,
                why=lack.why,
                found=lack.found,
                seconds=self._journal.now - lack.since,
                reloaded=reloaded,
            )
        )
