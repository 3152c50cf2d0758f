"""How much members know by now."""

import asyncio
from collections.abc import Collection, Sequence

from mesh.ids import is_object_id
from persist_service.domain.chats import Role
from persist_service.domain.notifications import Activity, Attention
from persist_service.stores.all_stores import Stores


async def get_attention(
    stores: Stores, questions: Sequence[tuple[str, str]], messages: Collection[tuple[str, str]]
) -> tuple[list[Attention], set[str]]:
    """What stands between a stored message and a notification of it, asked at the last moment.

    What is known per ``(chat_id, user_id)``, and the ids of those messages that are no more. An id that is
    none names no chat and no message. Raises ``Unavailable``.
    """
    possible = sorted({question for question in questions if is_object_id(question[0])})
    nameable = {key for key in messages if all(map(is_object_id, key))}
    unnameable = {message_id for _, message_id in set(messages) - nameable}
    memberships, heads, active, deleted = await asyncio.gather(
        stores.memberships.find_many(possible),
        stores.chats.heads({chat_id for chat_id, _ in possible}),
        stores.presence.last_active({user_id for _, user_id in possible}),
        stores.messages.deleted(nameable),
    )
    numbers = {head.chat_id: head.number for head, _ in heads}
    known = {
        question: Attention(
            membership.role,
            membership.read_seq,
            membership.delivered_seq,
            max(0, numbers.get(question[0], 0) - membership.read_number),
            active.get(question[1], Activity()),
        )
        for question, membership in zip(possible, memberships, strict=True)
        if membership.role is not Role.NONE
    }
    return [known.get(question, Attention(Role.NONE)) for question in questions], deleted | unnameable
