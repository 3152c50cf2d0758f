"""Putting changes of membership into the log of their chat."""

from collections.abc import Mapping

from chat_service.domain.events import Change
from chat_service.domain.model import Role
from chat_service.ports import Broker, ChatLog, Outbox, Store
from mesh.errors import Unavailable
from mesh.logs import get_logger

_log = get_logger()


class MembershipLog:
    """The path of a change through log, outbox and broker: the same promises as for a message."""

    def __init__(self, log: ChatLog, outbox: Outbox, broker: Broker, store: Store) -> None:
        self._log = log
        self._outbox = outbox
        self._broker = broker
        self._store = store

    async def record(
        self, chat_id: str, change: Change, roles: Mapping[str, Role], member_count: int
    ) -> None:
        """Gives the change its place and makes ``roles`` true in the same step.

        A broker that is down does not undo it: the outbox keeps the entry and the sweeper hands it over.

        Raises:
            Unavailable: Redis is down, or the store was needed to rebuild the head and is down.
        """
        await self._outbox.mark([chat_id])
        entry = await self._log.append(chat_id, change, roles, member_count)
        if entry is None:
            await self._log.restore_heads(await self._store.rebuild_heads([chat_id]))
            entry = await self._log.append(chat_id, change, roles, member_count)
        if entry is None:
            return  # the chat is gone from the store: there is nobody to tell
        try:
            await self._broker.persist([entry])
            await self._outbox.clear([entry])
        except Unavailable as error:
            _log.warning("chat.change_in_outbox", dependency=error.dependency)
