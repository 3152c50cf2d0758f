"""A client of Parley: live events and history over one WebSocket and REST, and `python -m parley_client`.

async with ParleyClient("http://127.0.0.1:8080", token) as client:
chat = await client.direct_chat("bob")
await client.send_message(chat.id, "hello")
async for event in client.events():
...
"""

from parley_client.client import ParleyClient
from parley_client.errors import ParleyError

__all__ = ["ParleyClient", "ParleyError"]
