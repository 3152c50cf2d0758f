"""Moves members' pointers forward."""

from collections.abc import Mapping, Sequence

from persist_service.domain.pointers import Pointer, merge
from persist_service.ports import ChatLists, Memberships


class MovePointers:
    """Stores pointers and forgets the chat lists that show the old ones."""

    def __init__(self, memberships: Memberships, chat_lists: ChatLists) -> None:
        self._memberships = memberships
        self._chat_lists = chat_lists

    async def __call__(self, pointers: Sequence[Pointer]) -> Mapping[int, str]:
        """Nothing is ever rejected here. Raises ``Unavailable``."""
        await self._memberships.advance(merge(pointers))
        await self._chat_lists.drop({pointer.user_id for pointer in pointers if pointer.read_seq})
        return {}
