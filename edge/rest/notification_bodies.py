"""The JSON bodies about devices, preferences and the ledger of notifications."""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from contract import limits
from edge.rest.bodies import Answer, ChatId, Request
from parley.edge.v1.frames import Timestamp

# What an edge does not know of a newer notify_service is `unknown`.
DeviceKindName: TypeAlias = Literal["log", "web-push", "fcm", "apns", "email", "webhook", "unknown"]
OutcomeName: TypeAlias = Literal[
    "sent", "suppressed", "failed", "pending", "delayed", "pruned", "cleared", "unknown"
]
WallTime: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z",
        description="A time of the day, such as 22:00.",
        extra={"rule": "a time of the day, such as 22:00"},
    ),
]

OWN_KINDS: Final[tuple[DeviceKindName, ...]] = ("web-push", "fcm", "apns", "log")
"""Kinds that users may register themselves.

That a mailbox is the user's own takes more than the user's word, and what a server of the customer is told is
the customer's to say: those two are for the customer's back end.
"""


class WebPushKeysBody(Request, frozen=True):
    """`keys` of a browser's `PushSubscription`, base64url."""

    p256dh: Annotated[str, Meta(max_length=200, description="65 bytes: an uncompressed point on P-256.")]
    auth: Annotated[str, Meta(max_length=100, description="16 bytes.")]


class RegisterDeviceBody(Request, frozen=True, kw_only=True):
    """Registers a device of the user, or refreshes it."""

    kind: Annotated[
        str,
        Meta(
            description="How it is reached; `log` in development only.",
            extra_json_schema={"enum": list(OWN_KINDS)},
        ),
    ]
    address: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=limits.DEVICE_ADDRESS_LENGTH,
            description="The `endpoint` of a browser's subscription, the registration token of an app by "
            "FCM, or its device token by APNs in hexadecimal digits.",
        ),
    ]
    label: Annotated[
        str, Meta(max_length=limits.LABEL_LENGTH, description="For people, such as `Ada's phone`.")
    ] = ""
    keys: WebPushKeysBody | None = None

    def __post_init__(self) -> None:
        if self.kind in {"email", "webhook"}:
            raise ValueError(
                f"kind: {self.kind} devices are registered by the back end of the service, over gRPC"
            )
        if self.kind not in OWN_KINDS:
            raise ValueError(f"kind must be one of {', '.join(OWN_KINDS)}")


class QuietHoursJson(Request, frozen=True, kw_only=True):
    """Hours of the day when nothing is pushed; they may span midnight."""

    start: WallTime
    end: WallTime
    time_zone: Annotated[
        str, Meta(min_length=1, max_length=64, description="Of the IANA database, such as Europe/Berlin.")
    ]


class MutedChatJson(Request, frozen=True, kw_only=True):
    """A chat that is kept quiet, for good where there is no `until`."""

    chat_id: ChatId
    until: Timestamp | None = None


class PreferencesJson(Request, frozen=True, kw_only=True):
    """What a user wants to be told.

    All of it is needed to change any of it, so that nothing is lost by being left out: send what was read.
    """

    enabled: Annotated[bool, Meta(description="False: nothing at all.")]
    show_preview: Annotated[bool, Meta(description="False: notifications do not say what the message says.")]
    quiet_hours: QuietHoursJson | None
    direct_overrides: Annotated[bool, Meta(description="Direct messages come through quiet hours.")]
    mention_overrides: Annotated[
        bool, Meta(description="Who is mentioned is told in quiet hours and muted chats as well.")
    ]
    email_digest: Annotated[bool, Meta(description="What stays unread is mailed.")]
    muted_chats: Annotated[list[MutedChatJson], Meta(max_length=limits.MUTED_CHATS)]


class MuteBody(Request, frozen=True):
    """Mutes a chat, for good where there is no `until`."""

    until: Timestamp | None = None


class DeviceJson(Answer, frozen=True):
    """A device. Its address is not shown: whoever has it may send to the device."""

    id: str
    kind: DeviceKindName
    label: str
    created_at: Timestamp
    refreshed_at: Timestamp


class DevicesAnswer(Answer, frozen=True):
    """The user's devices, the last refreshed first, at most 50."""

    devices: list[DeviceJson]


class DeviceAnswer(Answer, frozen=True):
    """One device."""

    device: DeviceJson


class PushConfigAnswer(Answer, frozen=True):
    """What the user can register here.

    `vapidPublicKey` is the `applicationServerKey` for browsers; null where they cannot be reached.
    """

    kinds: list[DeviceKindName]
    vapid_public_key: str | None


class PreferencesAnswer(Answer, frozen=True):
    """The user's preferences; mutings whose end is over are left out."""

    preferences: PreferencesJson


class LedgerEntryJson(Answer, frozen=True):
    """One decision, or one attempt to reach a device.

    `kind` is null and `deviceId` empty for decisions. `userIds` has only the user who was asked for, if any.
    """

    id: str
    user_ids: list[str]
    message_ids: list[str]
    chat_id: str
    outcome: OutcomeName
    detail: str
    device_id: str
    kind: DeviceKindName | None
    attempt: int
    at: Timestamp


class LedgerAnswer(Answer, frozen=True):
    """Entries of the ledger, the newest first."""

    entries: list[LedgerEntryJson]


class ExplanationAnswer(Answer, frozen=True):
    """What became of one message for one user; `outcome` is null where there is no trace."""

    outcome: OutcomeName | None
    summary: Annotated[str, Meta(description="One or two sentences, for people.")]
    entries: Annotated[
        list[LedgerEntryJson],
        Meta(description="The oldest first; behind them those of the user's next digest by mail, if any."),
    ]
    devices: Annotated[list[DeviceJson], Meta(description="The user's devices by now.")]
    preferences: Annotated[PreferencesJson, Meta(description="The user's preferences by now.")]
