"""What a user is in a chat: asked of Redis, and of the store for what Redis does not know."""

from collections.abc import Sequence

from chat_service.domain import rules
from chat_service.domain.model import Membership, ReadPointer, Role, Standing
from chat_service.ports import ChatLog, Known, Store
from mesh.errors import ParleyError, Unavailable
from mesh.ids import is_object_id


class Standings:
    """Shared by the use cases that act on a chat for a user."""

    def __init__(self, log: ChatLog, store: Store) -> None:
        self._log = log
        self._store = store

    async def of_member(self, user_id: str, chat_id: str) -> Standing:
        """The standing of a member.

        Raises:
            PermissionDenied: NOT_A_MEMBER.
            Unavailable: it could not be asked.
        """
        (found,) = await self.of(user_id, [chat_id])
        if isinstance(found, ParleyError):
            raise found
        return found

    async def of(self, user_id: str, chat_ids: Sequence[str]) -> list[Standing | ParleyError]:
        """The standing, or why there is none, per chat and in order.

        One round trip when Redis knows all. A store that is down fails only the chats that it had to be
        asked about.

        Raises:
            Unavailable: Redis is down.
        """
        valid = [chat_id for chat_id in dict.fromkeys(chat_ids) if is_object_id(chat_id)]
        known = dict(zip(valid, await self._log.known(user_id, valid), strict=True))
        try:
            # Twice: a head that is rebuilt because Redis is older than it was takes cached roles with it.
            for _ in range(2):
                await self._complete(user_id, known)
        except Unavailable as error:
            problem: ParleyError = error
        else:
            problem = rules.not_a_member()
        return [_standing(chat_id, known.get(chat_id), problem) for chat_id in chat_ids]

    async def _complete(self, user_id: str, known: dict[str, Known]) -> None:
        """Asks the store for what is missing, and Redis again."""
        strangers = [
            chat_id
            for chat_id, fact in known.items()
            if fact.role is None or (_is_in(fact) and fact.read is None)
        ]
        loaded: dict[str, Membership] = {}
        if strangers:
            answers = await self._store.memberships([(chat_id, user_id) for chat_id in strangers])
            loaded = dict(zip(strangers, answers, strict=True))
            await self._log.remember(user_id, loaded)
        headless = [
            chat_id
            for chat_id, fact in known.items()
            if fact.head is None
            and (_is_in(fact) or (chat_id in loaded and loaded[chat_id].role is not Role.NONE))
        ]
        if headless:
            await self._log.restore_heads(await self._store.rebuild_heads(headless))
        again = list(dict.fromkeys((*strangers, *headless)))
        if again:
            known.update(zip(again, await self._log.known(user_id, again), strict=True))


def _is_in(fact: Known) -> bool:
    return fact.role is not None and fact.role is not Role.NONE


def _standing(chat_id: str, fact: Known | None, problem: ParleyError) -> Standing | ParleyError:
    if fact is None or fact.role is Role.NONE:
        return rules.not_a_member()
    if fact.role is None or fact.head is None:
        return problem
    return Standing(chat_id, fact.role, fact.head, fact.read or ReadPointer())
