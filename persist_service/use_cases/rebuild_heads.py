"""Beginning new lives of logs that Redis lost."""

from collections.abc import Collection

from persist_service.domain.chats import Head
from persist_service.ports import Barrier, Chats


class RebuildHeads:
    """Not before everything of the old lives is stored.

    So the new life knows the count of messages, whoever reads history or looks for an earlier send finds
    everything, and the end of the old life is no hole that nobody can name.
    """

    def __init__(self, barrier: Barrier, chats: Chats) -> None:
        self._barrier = barrier
        self._chats = chats

    async def __call__(self, chat_ids: Collection[str]) -> list[tuple[Head, int]]:
        """Where the new lives begin, and how many members the chats have.

        Raises:
            Unavailable: what was handed over before is not stored yet, or a server is down.
        """
        await self._barrier.wait()
        return await self._chats.rebuild(chat_ids)
