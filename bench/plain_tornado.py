"""The baseline of `bench_fanout.py`: a chat room as Tornado's documentation builds one.

plain_tornado.py REDIS_URL CHANNEL      prints its port; every socket is in the one room
"""

import asyncio
import json
import sys

from redis.asyncio import Redis
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from parley.events.v1.chat_event_pb2 import ChatEvent

_room: set["Member"] = set()


class Member(WebSocketHandler):
    """One client."""

    def open(self) -> None:
        """Joins; Nagle's algorithm is off, as in the edge."""
        self.set_nodelay(True)
        _room.add(self)

    def on_close(self) -> None:
        """Leaves."""
        _room.discard(self)


async def main(redis_url: str, channel: str) -> None:
    """Serves until killed."""
    server = Application([("/ws", Member)]).listen(0, "127.0.0.1", backlog=4096)
    pubsub = Redis.from_url(redis_url, protocol=2).pubsub()
    await pubsub.subscribe(channel)
    sockets = list(server._sockets.values())  # noqa: SLF001 - Tornado does not tell the port otherwise
    print(sockets[0].getsockname()[1], flush=True)
    async for message in pubsub.listen():
        if message["type"] == "message":
            event = ChatEvent.FromString(message["data"])
            data = {
                "id": event.message.id,
                "chatId": event.chat_id,
                "seq": event.seq,
                "senderId": event.message.sender_id,
                "content": event.message.content,
            }
            text = json.dumps({"event": "new-message", "data": data})
            for member in _room:
                member.write_message(text)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
