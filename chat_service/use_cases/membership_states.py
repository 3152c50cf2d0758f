"""What a user is in a chat: asked of Redis, and of the store for what Redis does not know."""

from collections.abc import Sequence

from chat_service.domain import rules
from chat_service.domain.model import MembershipState, ReadPointer, Role
from chat_service.ports.log import ChatLog, Known
from chat_service.ports.store import Store
from chat_service.use_cases.membership_lookup import MembershipLookup
from mesh.errors import ParleyError, Unavailable
from mesh.ids import is_object_id


class MembershipStates:
    """Shared by the use cases that act on a chat for a user."""

    def __init__(self, log: ChatLog, store: Store, lookup: MembershipLookup) -> None:
        self._log = log
        self._store = store
        self._lookup = lookup

    async def of_member(self, user_id: str, chat_id: str) -> MembershipState:
        """The membership state of a member.

        Raises:
            PermissionDenied: NOT_A_MEMBER.
            Unavailable: it could not be asked.
        """
        (found,) = await self.of(user_id, [chat_id])
        if isinstance(found, ParleyError):
            raise found
        return found

    async def of(self, user_id: str, chat_ids: Sequence[str]) -> list[MembershipState | ParleyError]:
        """The membership state, or why there is none, per chat and in order.

        One round trip when Redis knows all. A store that is down fails only the chats that it had to be
        asked about.

        Raises:
            Unavailable: Redis is down.
        """
        valid = [chat_id for chat_id in dict.fromkeys(chat_ids) if is_object_id(chat_id)]
        known = dict(zip(valid, await self._log.known(user_id, valid), strict=True)) if valid else {}
        refused: dict[str, ParleyError] = {}
        problem: ParleyError = rules.not_a_member()
        try:
            # Twice: a head that is rebuilt because Redis is older than it was takes cached roles with it.
            for _ in range(2):
                await self._load_memberships(user_id, known, refused)
                await self._restore_heads(user_id, known)
        except Unavailable as error:
            problem = error
        return [
            refused[chat_id] if chat_id in refused else _state(chat_id, known.get(chat_id), problem)
            for chat_id in chat_ids
        ]

    async def _load_memberships(
        self, user_id: str, known: dict[str, Known], refused: dict[str, ParleyError]
    ) -> None:
        """Asks the store for roles and pointers that are missing, and Redis again."""
        missing_roles = [
            chat_id for chat_id, fact in known.items() if fact.role is None and chat_id not in refused
        ]
        missing_pointers = [chat_id for chat_id, fact in known.items() if _is_in(fact) and fact.read is None]
        again = list(missing_pointers)
        if missing_pointers:
            await self._lookup.load([(chat_id, user_id) for chat_id in missing_pointers])
        if missing_roles:
            answers = await self._lookup.ask([(chat_id, user_id) for chat_id in missing_roles])
            for chat_id in missing_roles:
                answer = answers[chat_id, user_id]
                if isinstance(answer, ParleyError):
                    refused[chat_id] = answer
                elif answer.role is Role.NONE:
                    refused[chat_id] = rules.not_a_member()
                else:
                    again.append(chat_id)
        await self._look_again(user_id, known, again)

    async def _restore_heads(self, user_id: str, known: dict[str, Known]) -> None:
        missing_heads = [chat_id for chat_id, fact in known.items() if _is_in(fact) and fact.head is None]
        if missing_heads:
            await self._log.restore_heads(await self._store.rebuild_heads(missing_heads))
            await self._look_again(user_id, known, missing_heads)

    async def _look_again(self, user_id: str, known: dict[str, Known], chat_ids: Sequence[str]) -> None:
        if chat_ids:
            known.update(zip(chat_ids, await self._log.known(user_id, chat_ids), strict=True))


def _is_in(fact: Known) -> bool:
    return fact.role is not None and fact.role is not Role.NONE


def _state(chat_id: str, fact: Known | None, problem: ParleyError) -> MembershipState | ParleyError:
    if fact is None or fact.role is Role.NONE:
        return rules.not_a_member()
    if fact.role is None or fact.head is None:
        return problem
    return MembershipState(chat_id, fact.role, fact.head, fact.read or ReadPointer())
