"""Logging something that happened in a chat, of any kind but a message."""

from chat_service.ports.broker import Broker
from chat_service.ports.log import ChatLog, MembersNow, Outbox
from chat_service.ports.store import Store
from mesh.clock import now_ms
from mesh.errors import Unavailable
from mesh.logs import get_logger
from parley.events.v1.chat_event_pb2 import ChatEvent

_log = get_logger()


class AppendEvent:
    """Gives an event its place in the log, tells it live, and hands it to the broker."""

    def __init__(self, log: ChatLog, outbox: Outbox, broker: Broker, store: Store) -> None:
        self._log = log
        self._outbox = outbox
        self._broker = broker
        self._store = store

    async def __call__(self, event: ChatEvent, members: MembersNow | None = None) -> None:
        """Its time becomes that of now. ``members`` as ``ChatLog.append`` says.

        A chat that is gone from the store has nobody to tell. A broker that is down undoes nothing: the
        outbox keeps the entry. Not idempotent.

        Raises:
            Unavailable: Redis is down; or the head was lost, and the store that knows it is down.
        """
        chat_id = event.chat_id
        # Also of what was begun long ago: readers take what is missing below an old entry for lost.
        event.occurred_at_ms = now_ms()
        await self._outbox.mark([chat_id])
        entry = await self._log.append(event, members)
        if entry is None:
            await self._log.restore_heads(await self._store.rebuild_heads([chat_id]))
            entry = await self._log.append(event, members)
        if entry is None:
            return
        try:
            await self._broker.persist([entry])
            await self._outbox.clear([entry])
        except Unavailable as error:
            _log.warning("chat.event_in_outbox", dependency=error.dependency)
