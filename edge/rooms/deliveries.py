"""Tells chat_service up to where messages reached the members, merged and in batches."""

import asyncio
from typing import Final

from mesh.errors import ParleyError
from mesh.outage import Outage
from parley.chat.v1.chat_service_pb2 import Delivery, MarkDeliveredRequest
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub

_BATCH: Final = 256  # the limit of MarkDelivered
_EVERY_SECONDS: Final = 0.25
_MAX_WAITING: Final = 50_000


class DeliveryReports:
    """Gathers delivery pointers, the latest per user and chat; `run` reports them every 250 ms.

    A report that fails is tried again with what came since. Beyond 50,000 waiting pointers new ones are
    dropped: the next message of the same chat moves the pointer past them.
    """

    def __init__(self, chats: ChatServiceStub) -> None:
        self._chats = chats
        self._waiting: dict[tuple[str, str], tuple[str, int]] = {}
        self._some = asyncio.Event()
        self._outage = Outage("deliveries.report_failed", "deliveries.report_works")

    def note(self, user_id: str, chat_id: str, message_id: str, seq: int) -> None:
        """A message was written to a connection of `user_id`."""
        key = (user_id, chat_id)
        if key in self._waiting or len(self._waiting) < _MAX_WAITING:
            self._waiting[key] = (message_id, seq)
            self._some.set()

    async def run(self) -> None:
        """Reports until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(_EVERY_SECONDS)
            await self.report()

    async def report(self) -> None:
        """Reports what waits now."""
        waiting, self._waiting = self._waiting, {}
        self._some.clear()
        items = list(waiting.items())
        for start in range(0, len(items), _BATCH):
            batch = items[start : start + _BATCH]
            deliveries = [
                Delivery(user_id=user_id, chat_id=chat_id, message_id=message_id, seq=seq)
                for (user_id, chat_id), (message_id, seq) in batch
            ]
            try:
                await self._chats.MarkDelivered(MarkDeliveredRequest(deliveries=deliveries))
            except ParleyError as error:
                self._outage.failed(count=len(batch), code=error.code)
                if error.retryable:
                    self._put_back(items[start:])
                    return
            else:
                self._outage.worked()

    def _put_back(self, items: list[tuple[tuple[str, str], tuple[str, int]]]) -> None:
        for key, value in items:
            self._waiting.setdefault(key, value)
        self._some.set()
