"""Moves members' pointers forward."""

from collections.abc import Mapping, Sequence

from persist_service.domain.notifications import ReadUpTo
from persist_service.domain.pointers import Pointer, merge
from persist_service.ports import ChatLists, FollowUps, Memberships


class MovePointers:
    """Stores pointers, forgets the chat lists that show the old ones, and tells what was read."""

    def __init__(self, memberships: Memberships, chat_lists: ChatLists, follow_ups: FollowUps) -> None:
        self._memberships = memberships
        self._chat_lists = chat_lists
        self._follow_ups = follow_ups

    async def __call__(self, pointers: Sequence[Pointer]) -> Mapping[int, str]:
        """Nothing is ever rejected here. Raises ``Unavailable``.

        Told are also pointers that stood there already: nobody knows whether the first time got that far.
        """
        moved = merge(pointers)
        await self._memberships.advance(moved)
        read = [pointer for pointer in moved if pointer.read_seq]
        if read:
            await self._chat_lists.drop({pointer.user_id for pointer in read})
            await self._follow_ups.notify(
                [ReadUpTo(pointer.chat_id, pointer.user_id, pointer.read_seq) for pointer in read]
            )
        return {}
