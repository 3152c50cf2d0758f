"""The operations on devices, preferences and the ledger of notifications."""

from http import HTTPStatus
from typing import Final

from contract.user_ids import MAX_USER_ID_LENGTH
from edge.rest.notification_bodies import (
    DeviceAnswer,
    DevicesAnswer,
    ExplanationAnswer,
    LedgerAnswer,
    MuteBody,
    PreferencesAnswer,
    PreferencesJson,
    PushConfigAnswer,
    RegisterDeviceBody,
)
from edge.rest.notifications import MAX_ENTRIES
from edge.rest.operation import ALWAYS, BODY, Operation, Parameter

_ID: Final = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
_USER_ID: Final = {"type": "string", "minLength": 1, "maxLength": MAX_USER_ID_LENGTH}
_CHAT: Final = Parameter("chatId", "The chat.", _ID, in_path=True)
_DEVICE: Final = Parameter("deviceId", "The device.", _ID, in_path=True)
_ADMIN: Final = (*ALWAYS, HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)

NOTIFICATION_OPERATIONS: Final = (
    Operation(
        name="listDevices",
        method="get",
        path="/api/v1/devices",
        summary="The user's devices, the last refreshed first",
        answers={HTTPStatus.OK: DevicesAnswer},
        errors=ALWAYS,
    ),
    Operation(
        name="registerDevice",
        method="post",
        path="/api/v1/devices",
        summary="Register a device, or refresh the one with this address, which leaves another who had it",
        body=RegisterDeviceBody,
        answers={HTTPStatus.OK: DeviceAnswer},
        errors=(*ALWAYS, *BODY),
    ),
    Operation(
        name="removeDevice",
        method="delete",
        path="/api/v1/devices/{deviceId}",
        summary="Remove a device, when the user logs out of it say",
        parameters=(_DEVICE,),
        answers={HTTPStatus.NO_CONTENT: None},
        errors=(*ALWAYS, HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND),
    ),
    Operation(
        name="getPushConfig",
        method="get",
        path="/api/v1/push-config",
        summary="What can be registered here, and the key that browsers subscribe with",
        answers={HTTPStatus.OK: PushConfigAnswer},
        errors=ALWAYS,
    ),
    Operation(
        name="getNotificationPreferences",
        method="get",
        path="/api/v1/notification-preferences",
        summary="What the user wants to be told",
        answers={HTTPStatus.OK: PreferencesAnswer},
        errors=ALWAYS,
    ),
    Operation(
        name="setNotificationPreferences",
        method="put",
        path="/api/v1/notification-preferences",
        summary="Replace all of what the user wants to be told",
        body=PreferencesJson,
        answers={HTTPStatus.OK: PreferencesAnswer},
        errors=(*ALWAYS, *BODY),
    ),
    Operation(
        name="muteChat",
        method="put",
        path="/api/v1/chats/{chatId}/mute",
        summary="Keep a chat quiet, for good or until a time; up to 1,000 chats",
        parameters=(_CHAT,),
        body=MuteBody,
        answers={HTTPStatus.NO_CONTENT: None},
        errors=(*ALWAYS, *BODY),
    ),
    Operation(
        name="unmuteChat",
        method="delete",
        path="/api/v1/chats/{chatId}/mute",
        summary="Let a chat be heard again; one that is not muted is left as is",
        parameters=(_CHAT,),
        answers={HTTPStatus.NO_CONTENT: None},
        errors=(*ALWAYS, HTTPStatus.BAD_REQUEST),
    ),
    Operation(
        name="listNotifications",
        method="get",
        path="/api/v1/admin/notifications",
        summary="What was decided and tried for a user, a message, or both, the newest first",
        parameters=(
            Parameter("userId", "Of this user.", _USER_ID),
            Parameter("messageId", "Of this message.", _ID),
            Parameter(
                "limit",
                "How many entries at most.",
                {"type": "integer", "minimum": 1, "maximum": MAX_ENTRIES, "default": 100},
            ),
            Parameter("before", "Older than this entry: the last `id` of the page before this one.", _ID),
        ),
        answers={HTTPStatus.OK: LedgerAnswer},
        errors=_ADMIN,
        operators_only=True,
    ),
    Operation(
        name="explainNotification",
        method="get",
        path="/api/v1/admin/notifications/explain",
        summary="Why a user was told of a message, or was not",
        parameters=(
            Parameter("userId", "Who.", _USER_ID, required=True),
            Parameter("messageId", "Of which message.", _ID, required=True),
        ),
        answers={HTTPStatus.OK: ExplanationAnswer},
        errors=_ADMIN,
        operators_only=True,
    ),
)
"""Those under ``/admin`` take the scope of operators."""
