"""``/admin/notifications``: who was told of what, and why not, for operators."""

from http import HTTPStatus
from typing import Final

from contract import limits
from edge.rest.errors import invalid
from edge.rest.handler import RestHandler
from edge.rest.notification_bodies import ExplanationAnswer, LedgerAnswer
from edge.rest.notification_shapes import device_json, entry_json, outcome_name, preferences_json
from edge.rest.operation import Access, Operation, Parameter
from edge.rest.parameters import OBJECT_ID, USER_ID, number
from parley.notify.v1 import notify_service_pb2 as pb

# Empty or 0 is what notify_service takes for "not asked for".
_OF_USER: Final = Parameter("userId", "Of this user.", USER_ID, default="")
_OF_MESSAGE: Final = Parameter("messageId", "Of this message.", OBJECT_ID, default="")
_LIMIT: Final = Parameter(
    "limit", "How many entries at most.", number(limits.RECORDS, default=limits.DEFAULT_RECORDS), default=0
)
_BEFORE: Final = Parameter(
    "before", "Older than this entry: the last `id` of the page before this one.", OBJECT_ID, default=""
)
_USER: Final = Parameter("userId", "Who.", USER_ID)
_MESSAGE: Final = Parameter("messageId", "Of which message.", OBJECT_ID)


class LedgerHandler(RestHandler):
    """The ledger of notifications."""

    path = "/api/v1/admin/notifications"
    operations = (
        Operation(
            method="GET",
            name="listNotifications",
            summary="What was decided and tried for a user, a message, or both, the newest first",
            parameters=(_OF_USER, _OF_MESSAGE, _LIMIT, _BEFORE),
            answers={HTTPStatus.OK: LedgerAnswer},
            access=Access.OPERATOR,
        ),
    )

    async def get(self) -> None:
        """Lists entries."""
        user_id, message_id = self.value(_OF_USER), self.value(_OF_MESSAGE)
        if not user_id and not message_id:
            raise invalid("give userId, messageId, or both")
        found = await self.deps.notify.ListLedger(
            pb.ListLedgerRequest(
                user_id=user_id,
                message_id=message_id,
                limit=self.value(_LIMIT),
                before_id=self.value(_BEFORE),
            )
        )
        self.answer(LedgerAnswer(entries=[entry_json(entry) for entry in found.entries]))


class ExplanationHandler(RestHandler):
    """What became of one message for one user."""

    path = "/api/v1/admin/notifications/explain"
    operations = (
        Operation(
            method="GET",
            name="explainNotification",
            summary="Why a user was told of a message, or was not",
            parameters=(_USER, _MESSAGE),
            answers={HTTPStatus.OK: ExplanationAnswer},
            access=Access.OPERATOR,
        ),
    )

    async def get(self) -> None:
        """Explains."""
        explained = await self.deps.notify.ExplainNotification(
            pb.ExplainNotificationRequest(user_id=self.value(_USER), message_id=self.value(_MESSAGE))
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
