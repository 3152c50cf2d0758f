"""Asks once more, right before a push that had to wait goes out."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from mesh.clock import now_ms
from notify_service.domain.decision import Policy, Reason
from notify_service.domain.push import Push, PushKind, WaitingPush
from notify_service.inbox.inbox import InboxKey
from notify_service.inbox.look_again import look_again
from notify_service.inbox.ports import Members, PushFilter
from notify_service.inbox.recheck import Attention, Findings
from notify_service.people.lookup import People

_UNASKED: Final = Attention(member=True)
"""For what takes a notification away."""


class LastLook:
    """Whether pushes may still go out, whoever they are for, a few round trips for all of them."""

    def __init__(self, inboxes: PushFilter, members: Members, people: People, policy: Policy) -> None:
        self._inboxes = inboxes
        self._members = members
        self._people = people
        self._policy = policy

    async def __call__(self, pushes: Collection[WaitingPush]) -> Mapping[WaitingPush, Push | Reason]:
        """For each push what may go out by now, or why nothing may.

        Raises:
            Unavailable: MongoDB or persist_service cannot be reached. Nobody is notified blindly; ask again.
        """
        shows = [waiting for waiting in pushes if waiting.push.kind is PushKind.SHOW]
        keys = sorted({_key(waiting) for waiting in shows}, key=lambda key: (key.chat_id, key.user_id))
        messages = {(waiting.push.chat_id, message) for waiting in shows for message in waiting.message_ids}
        outdated, people, (attentions, deleted_ids) = await asyncio.gather(
            self._inboxes.why_outdated([(waiting.user_id, waiting.push) for waiting in pushes]),
            self._people.find({waiting.user_id for waiting in pushes}),
            self._members.attention(keys, messages),
        )
        known = dict(zip(keys, attentions, strict=True))
        at_ms = now_ms()
        return {
            waiting: look_again(
                waiting,
                outdated.get((waiting.user_id, waiting.push)),
                Findings(known.get(_key(waiting), _UNASKED), deleted_ids, people[waiting.user_id], at_ms),
                self._policy,
            )
            for waiting in pushes
        }


def _key(waiting: WaitingPush) -> InboxKey:
    return InboxKey(waiting.user_id, waiting.push.chat_id)
