"""What the terminal shows of events. Pure."""

from datetime import datetime

from parley_client.declared import DirectChat, Message, Sent
from parley_client.events import (
    ChatChanged,
    ChatCreated,
    Connected,
    Disconnected,
    Event,
    Gap,
    NewMessage,
    Presence,
)
from parley_client.notifications import Device


def line_of(message: Message) -> str:
    """`12:00:01 alice: hello`."""
    content = message.content if message.type == "text" else f"({message.type}) {message.content}"
    return f"{_clock(message.created_at)} {plain(message.sender_id)}: {plain(content)}"


def tick_of(sent: Sent) -> str:
    """The line that tells that a message is stored."""
    again = ", had arrived before" if sent.duplicate else ""
    return f"{_clock(sent.created_at)} ✓ sent (seq {sent.seq}{again})"


def note_of(event: Event) -> str | None:
    """A line about what is no message; None for what needs none."""
    note: str | None
    match event:
        case Connected():
            note = "* connected"
        case Disconnected(reason):
            note = f"* reconnecting: {plain(reason)}"
        case Presence(user_id, online):
            note = f"* {plain(user_id)} is {'here' if online else 'gone'}"
        case Gap():
            note = "* some older messages were missed and are not shown here"
        case ChatCreated(chat):
            name = ", ".join(chat.users) if isinstance(chat, DirectChat) else chat.name
            note = f"* you are in a new chat: {plain(name)} [{chat.id}]"
        case ChatChanged(_, _, what):
            note = f"* {what.replace('-', ' ')}"
        case NewMessage(message):
            note = line_of(message)
        case _:
            note = None
    return note


def row_of(device: Device) -> str:
    """`6561a0b1c2d3e4f506172839  web-push  2026-01-31  Ada's laptop`, with the day of its last refresh."""
    day = device.refreshed_at.astimezone().strftime("%Y-%m-%d")
    return f"{device.id}  {plain(device.kind):8}  {day}  {plain(device.label)}".rstrip()


def plain(text: str) -> str:
    """The text without what would steer the terminal: control and formatting characters become `·`."""
    return "".join(
        character if character.isprintable() else " " if character in "\n\t" else "·" for character in text
    )


def _clock(time: datetime) -> str:
    return time.astimezone().strftime("%H:%M:%S")
