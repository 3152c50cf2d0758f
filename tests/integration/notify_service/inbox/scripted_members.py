"""In the place of persist_service: what members know is what a test says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.errors import unavailable
from notify_service.adapters.mongo.devices import MongoDeviceStore
from notify_service.adapters.mongo.inbox import MongoInboxes
from notify_service.adapters.mongo.preferences import MongoPreferenceStore
from notify_service.inbox.inbox import Rhythm
from notify_service.inbox.last_look import LastLook
from notify_service.inbox.recheck import Attention
from notify_service.people.lookup import People

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mesh.mongo import Mongo
    from notify_service.domain.decision import Policy
    from notify_service.inbox.inbox import InboxKey


class ScriptedMembers:
    """A `Members`; by default everybody is a member and has one message unread."""

    def __init__(self) -> None:
        self.knows: dict[tuple[str, str], Attention] = {}
        """By user and chat."""
        self.usual = Attention(member=True, unread=1)
        self.deleted: set[str] = set()
        self.down = False
        self.questions: list[int] = []
        """About how many each was."""

    async def attention(
        self, keys: Sequence[InboxKey], messages: Collection[tuple[str, str]]
    ) -> tuple[Sequence[Attention], Collection[str]]:
        self.questions.append(len(keys))
        if self.down:
            raise unavailable("persist")
        known = [self.knows.get((key.user_id, key.chat_id), self.usual) for key in keys]
        return known, self.deleted & {message_id for _, message_id in messages}

    async def unread_totals(self, without: Mapping[str, Collection[str]]) -> Mapping[str, int]:
        return dict.fromkeys(without, 1)


def last_look_of(mongo: Mongo, members: ScriptedMembers, policy: Policy) -> LastLook:
    """What a handler asks before it tries again, on these stores."""
    people = People(MongoDeviceStore(mongo), MongoPreferenceStore(mongo))
    return LastLook(MongoInboxes(mongo, Rhythm(0, 0, 0)), members, people, policy)
