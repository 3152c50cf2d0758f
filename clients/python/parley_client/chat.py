"""The commands: talk in a chat, send one message, listen to all, list devices."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator

from parley_client.client import ParleyClient
from parley_client.declared import Message
from parley_client.events import Connected, Delivered, NewMessage, Read, Typing
from parley_client.notifications import Notifications
from parley_client.screen import line_of, note_of, plain, row_of, tick_of
from parley_client.sessions import Login

MAX_HISTORY = 100
_DELIVERED = "delivered to"


async def chat(login: Login, to: str | None, chat_id: str | None, *, history: int) -> None:
    """Shows the last messages, then sends each line of the standard input and shows what happens.

    Returns at the end of the input, once all of it is stored.
    """
    async with login.client() as client:
        place = await _place(client, to, chat_id)
        page = await client.history(place, limit=max(1, history))
        for message in page.messages[-history:] if history else ():
            _show(line_of(message))
        conversation = Conversation(client, place)
        if page.messages:
            await conversation.seen(page.messages[-1])
        showing = asyncio.create_task(conversation.show())
        speaking = asyncio.create_task(conversation.speak())
        try:
            await asyncio.wait((showing, speaking), return_when=asyncio.FIRST_COMPLETED)
            await (showing if showing.done() else speaking)
        finally:
            showing.cancel()
            speaking.cancel()
            await asyncio.gather(showing, speaking, return_exceptions=True)


async def send(login: Login, to: str | None, chat_id: str | None, text: str) -> None:
    """Sends one message and prints the server's ack."""
    async with login.client() as client:
        sent = await client.send_message(await _place(client, to, chat_id), text)
    _show(f"{tick_of(sent)} message {sent.message_id} in chat {sent.chat_id}")


async def listen(login: Login) -> None:
    """Shows what happens in all chats of the user, for ever."""
    async with login.client() as client:
        async for event in client.events():
            if (note := note_of(event)) is not None:
                where = f"[{event.message.chat_id}] " if isinstance(event, NewMessage) else ""
                _show(where + note)


async def devices(login: Login) -> None:
    """Shows where the user's notifications go."""
    async with login.rest() as rest:
        found = await Notifications(rest).devices()
    for device in found:
        _show(row_of(device))
    if not found:
        _show("* no devices")


class Conversation:
    """One chat on a terminal."""

    def __init__(self, client: ParleyClient, chat_id: str) -> None:
        self._client = client
        self._chat_id = chat_id
        # Receipts are pointers: one is worth a line when it passes our last message for the first time.
        self._last_sent = 0
        self._told: set[tuple[str, str]] = set()
        self._typing: set[str] = set()
        self._connected_before = False

    async def speak(self) -> None:
        """Sends the lines of the standard input, one after the other."""
        async for line in _lines():
            if line.strip():
                sent = await self._client.send_message(self._chat_id, line)
                self.sent(sent.seq)
                _show(tick_of(sent))

    def sent(self, seq: int) -> None:
        """Receipts are worth telling from this message on."""
        self._last_sent = seq
        self._told.clear()

    async def show(self) -> None:
        """Prints what happens in the chat."""
        async for event in self._client.events():
            match event:
                case NewMessage(message):
                    await self._show_message(message)
                case Typing(chat_id, user_id, is_typing) if chat_id == self._chat_id:
                    self._show_typing(user_id, is_typing=is_typing)
                case Delivered(chat_id, user_id, seq) if chat_id == self._chat_id:
                    self._show_receipt(_DELIVERED, user_id, seq)
                case Read(chat_id, user_id, seq) if chat_id == self._chat_id:
                    self._show_receipt("read by", user_id, seq)
                case Connected() if not self._connected_before:
                    self._connected_before = True
                case _ if getattr(event, "chat_id", self._chat_id) == self._chat_id:
                    _show(note_of(event))

    async def seen(self, message: Message) -> None:
        """Tells the others that a message was shown here."""
        if message.sender_id != self._client.user_id:
            await self._client.mark_read(self._chat_id, message.id)

    async def _show_message(self, message: Message) -> None:
        if message.chat_id != self._chat_id or message.sender_id == self._client.user_id:
            return
        self._typing.discard(message.sender_id)
        _show(line_of(message))
        await self.seen(message)

    def _show_typing(self, user_id: str, *, is_typing: bool) -> None:
        if is_typing and user_id not in self._typing and user_id != self._client.user_id:
            _show(f"* {plain(user_id)} is typing…")
        (self._typing.add if is_typing else self._typing.discard)(user_id)

    def _show_receipt(self, what: str, user_id: str, seq: int) -> None:
        if not 0 < self._last_sent <= seq or user_id == self._client.user_id:
            return
        # What was read has arrived: that it did may be told later, and is no news then.
        news = {(what, user_id)} if what == _DELIVERED else {(what, user_id), (_DELIVERED, user_id)}
        if (what, user_id) not in self._told:
            self._told |= news
            _show(f"* {what} {plain(user_id)} ✓✓")


async def _place(client: ParleyClient, to: str | None, chat_id: str | None) -> str:
    """The id of the chat to talk in, joined."""
    place = chat_id if chat_id is not None else (await client.direct_chat(to or "")).id
    await client.join([place])
    return place


async def _lines() -> AsyncIterator[str]:
    """The lines of the standard input, whatever it is.

    Read by a daemon thread: asyncio's own pipes cannot read a file, and a thread of its pool would hold up
    the end of the program until the next line comes.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\r\n"))
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line


def _show(line: str | None) -> None:
    if line is not None:
        print(line, flush=True)
