"""The JSON bodies of ``/admin/webhooks``."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from contract import limits
from edge.rest.bodies import Answer, ChatId, Request, UserId, check_user_ids
from parley.edge.v1.frames import Timestamp

EventTypeName: TypeAlias = Literal[
    "message.created", "chat.members_added", "chat.member_removed", "chat.updated"
]
OutcomeName: TypeAlias = Literal["pending", "sent", "failed"]


class SubscriptionBody(Request, frozen=True, kw_only=True):
    """What an integrator decides about a subscription; a list that is empty stands for all."""

    url: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=limits.WEBHOOK_URL_LENGTH,
            description="Where requests go: https, and not into a private network.",
        ),
    ]
    types: Annotated[list[EventTypeName], Meta(max_length=limits.WEBHOOK_FILTER)] = msgspec.field(
        default_factory=list
    )
    chat_ids: Annotated[list[ChatId], Meta(max_length=limits.WEBHOOK_FILTER)] = msgspec.field(
        default_factory=list
    )
    actor_ids: Annotated[
        list[UserId],
        Meta(max_length=limits.WEBHOOK_FILTER, description="Whoever sends the message, or changes the chat."),
    ] = msgspec.field(default_factory=list)
    include_content: Annotated[bool, Meta(description="False: requests leave out what messages say.")] = True
    enabled: Annotated[
        bool, Meta(description="False: nothing is sent, and what happens meanwhile is not kept.")
    ] = True
    label: Annotated[str, Meta(max_length=limits.LABEL_LENGTH, description="For people.")] = ""

    def __post_init__(self) -> None:
        check_user_ids("actorIds", self.actor_ids)


class NewSubscriptionBody(SubscriptionBody, frozen=True, kw_only=True):
    """Makes a subscription."""

    signing_secret: Annotated[
        str,
        Meta(
            max_length=100,
            description="`whsec_` and 24 to 64 bytes in base64; without it one is made.",
        ),
    ] = ""


class SubscriptionJson(Answer, frozen=True):
    """A subscription; ``disabledBecause`` has the receiver's words if it said 410 Gone, and is else empty."""

    id: str
    url: str
    types: list[EventTypeName]
    chat_ids: list[str]
    actor_ids: list[str]
    include_content: bool
    enabled: bool
    label: str
    disabled_because: str
    created_at: Timestamp
    updated_at: Timestamp


class SubscriptionsAnswer(Answer, frozen=True):
    """The subscriptions, the oldest first, about 100 at most."""

    subscriptions: list[SubscriptionJson]


class SubscriptionAnswer(Answer, frozen=True):
    """One subscription."""

    subscription: SubscriptionJson


class NewSubscriptionAnswer(Answer, frozen=True):
    """A new subscription, and the secret that requests are signed with: it is shown here and nowhere else."""

    subscription: SubscriptionJson
    signing_secret: str


class SecretAnswer(Answer, frozen=True):
    """The new secret: it is shown here and nowhere else."""

    signing_secret: str


class HookDeliveryJson(Answer, frozen=True):
    """One event on its way to one subscription.

    ``id`` is the ``webhook-id`` of its requests, ``detail`` what the receiver said last, ``at`` when the next
    attempt is due, or when it was settled.
    """

    id: str
    type: EventTypeName
    chat_id: str
    seq: int
    outcome: OutcomeName
    detail: str
    attempts: int
    created_at: Timestamp
    at: Timestamp


class HookDeliveriesAnswer(Answer, frozen=True):
    """Deliveries, the newest first."""

    deliveries: list[HookDeliveryJson]
