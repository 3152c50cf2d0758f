"""A client of Parley: live events and history over one WebSocket and REST, and `python -m parley_client`.

async with ParleyClient("http://127.0.0.1:8080", token) as client:
    chat = await client.direct_chat("bob")
    await client.send_message(chat.id, "hello")
    async for event in client.events():
        match event:
            case NewMessage(message):
                print(message.sender_id, message.content)
"""

import sys

try:
    from parley_client.backoff import Backoff
    from parley_client.client import ParleyClient, TokenSource
    from parley_client.declared import Chat, ChatHead, DirectChat, GroupChat, Message, Sent
    from parley_client.errors import (
        BusyError,
        ClientClosedError,
        ClientDefectError,
        ConflictError,
        InputError,
        NotFoundError,
        ParleyError,
        PermissionDeniedError,
        SessionEndedError,
        TokenError,
        TokenSourceError,
        UnavailableError,
        UnreachableError,
    )
    from parley_client.events import (
        ChatChanged,
        ChatCreated,
        Connected,
        Delivered,
        Disconnected,
        Event,
        Gap,
        NewMessage,
        Presence,
        Read,
        Typing,
    )
    from parley_client.models import Page
    from parley_client.notifications import Device, Notifications
except ModuleNotFoundError as error:
    if error.name not in {"httpx", "websockets"}:
        raise
    raise ModuleNotFoundError(
        f"parley_client needs {error.name}, which this Python ({sys.executable}) does not have. Install the "
        "client (pip install ./clients/python), or run .venv/bin/python, which make sets up.",
        name=error.name,
    ) from None

__all__ = [
    "Backoff",
    "BusyError",
    "Chat",
    "ChatChanged",
    "ChatCreated",
    "ChatHead",
    "ClientClosedError",
    "ClientDefectError",
    "ConflictError",
    "Connected",
    "Delivered",
    "Device",
    "DirectChat",
    "Disconnected",
    "Event",
    "Gap",
    "GroupChat",
    "InputError",
    "Message",
    "NewMessage",
    "NotFoundError",
    "Notifications",
    "Page",
    "ParleyClient",
    "ParleyError",
    "PermissionDeniedError",
    "Presence",
    "Read",
    "Sent",
    "SessionEndedError",
    "TokenError",
    "TokenSource",
    "TokenSourceError",
    "Typing",
    "UnavailableError",
    "UnreachableError",
]
