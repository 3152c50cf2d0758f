"""``/admin/notifications``: who was told of what, and why not, for operators."""

from typing import Final

from edge.rest.errors import invalid
from edge.rest.handler import RestHandler
from edge.rest.notification_bodies import ExplanationAnswer, LedgerAnswer
from edge.rest.notification_shapes import device_json, entry_json, outcome_name, preferences_json
from edge.rest.parameters import number, object_id, user_id
from parley.notify.v1 import notify_service_pb2 as pb

MAX_ENTRIES: Final = 500


class LedgerHandler(RestHandler):
    """``/admin/notifications``."""

    operators_only = True

    async def get(self) -> None:
        """What was decided and tried, the newest first."""
        user = self.query("userId")
        message = self.query("messageId")
        limit = self.query("limit")
        before = self.query("before")
        if user is None and message is None:
            raise invalid("give userId, messageId, or both")
        found = await self.deps.notify.ListLedger(
            pb.ListLedgerRequest(
                user_id="" if user is None else user_id(user),
                message_id="" if message is None else object_id("messageId", message),
                limit=0 if limit is None else number("limit", limit, MAX_ENTRIES),
                before_id="" if before is None else object_id("before", before),
            )
        )
        self.answer(LedgerAnswer(entries=[entry_json(entry) for entry in found.entries]))


class ExplanationHandler(RestHandler):
    """``/admin/notifications/explain``."""

    operators_only = True

    async def get(self) -> None:
        """Why a user was told of a message, or was not."""
        explained = await self.deps.notify.ExplainNotification(
            pb.ExplainNotificationRequest(
                user_id=user_id(self.query("userId") or ""),
                message_id=object_id("messageId", self.query("messageId") or ""),
            )
        )
        self.answer(
            ExplanationAnswer(
                outcome=outcome_name(explained.outcome) if explained.outcome else None,
                summary=explained.summary,
                entries=[entry_json(entry) for entry in explained.entries],
                devices=[device_json(device) for device in explained.devices],
                preferences=preferences_json(explained.preferences),
            )
        )
