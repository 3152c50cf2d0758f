"""Whoever left a chat, or was removed, is shown nothing of it any more."""

from collections.abc import Sequence
from functools import partial

from notify_service.inbox.inbox import Inbox, InboxKey
from notify_service.inbox.ports import Inboxes
from notify_service.webhooks.event import HookEvent, MemberRemoved


class EndMemberships:
    """Notes in inboxes where memberships ended: what is shown becomes due to be taken away. Idempotent."""

    def __init__(self, inboxes: Inboxes) -> None:
        self._inboxes = inboxes

    async def __call__(self, events: Sequence[HookEvent]) -> None:
        """Returns when it is stored. Other events than removals are left aside.

        Raises:
            Unavailable: MongoDB cannot be reached; all of it can be repeated.
        """
        ends: dict[InboxKey, int] = {}
        for event in events:
            if isinstance(event.body, MemberRemoved):
                key = InboxKey(event.body.user_id, event.chat_id)
                ends[key] = max(ends.get(key, 0), event.seq)
        if ends:
            await self._inboxes.change({key: partial(Inbox.left, seq=seq) for key, seq in ends.items()})
