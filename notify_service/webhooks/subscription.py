"""Subscriptions of integrators: what they say, which events they want, what signs their requests. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from contract import limits
from mesh.ids import is_object_id
from notify_service.domain.limits import invalid, require_label, require_length, require_user_id
from notify_service.webhooks.event import HookEvent, HookEventType

MAX_SUBSCRIPTIONS: Final = 100
"""Chats, and actors, that one subscription names."""
MAX_SECRETS: Final = 5
"""Secrets of one subscription at a time, however often it is rotated; the oldest are dropped."""
SECRET_OVERLAP_MS: Final = 86_400_000
"""How long a secret is still signed with after the next one was made."""

REMOVED: Final = "the subscription was removed"
"""Why what waited for it is given up."""


@dataclass(frozen=True, slots=True)
class SubscriptionSpec:
    """What an integrator decides."""

    url: str
    types: frozenset[HookEventType] = frozenset()
    """Empty: all of them."""
    chat_ids: frozenset[str] = frozenset()
    """Empty: all chats."""
    actor_ids: frozenset[str] = frozenset()
    """Empty: whoever causes it."""
    include_content: bool = True
    enabled: bool = True
    label: str = ""

    def wants(self, event: HookEvent) -> bool:
        """Whether it receives this event."""
        return (
            self.enabled
            and (not self.types or event.type in self.types)
            and (not self.chat_ids or event.entry.chat_id in self.chat_ids)
            and (not self.actor_ids or event.actor_id in self.actor_ids)
        )


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A secret, and since when there is it."""

    value: str = field(repr=False)
    made_at_ms: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as it is stored."""

    id: str
    spec: SubscriptionSpec
    secrets: tuple[SigningSecret, ...]
    """The newest first; at least one."""
    created_at_ms: int
    updated_at_ms: int
    disabled_because: str = ""
    """The receiver's answer that made this service disable it; empty when it did not."""

    def signing_secrets(self, at_ms: int) -> list[str]:
        """What requests are signed with at this time, the newest first.

        The newest always; an older one for `SECRET_OVERLAP_MS` after the one that replaced it was made.
        """
        newest, *older = self.secrets
        replaced_at = (secret.made_at_ms for secret in self.secrets)
        still = [
            secret.value
            for secret, at in zip(older, replaced_at, strict=False)
            if at_ms < at + SECRET_OVERLAP_MS
        ]
        return [newest.value, *still]


@dataclass(frozen=True, slots=True)
class HookKey:
    """What makes a delivery to a subscription one and the same; it holds what is shown of settled ones."""

    subscription_id: str
    chat_id: str
    seq: int
    type: HookEventType

    def __str__(self) -> str:
        return f"hook:{self.subscription_id}:{self.chat_id}:{self.seq}:{self.type.value}"

    @classmethod
    def parse(cls, text: str) -> "HookKey":
        """The key that was written so. Raises `ValueError` for any other text."""
        _, subscription_id, chat_id, seq, kind = text.split(":")
        return cls(subscription_id, chat_id, int(seq), HookEventType(kind))


def check_spec(spec: SubscriptionSpec) -> None:
    """Raises `InvalidArgument`, naming the field. What a URL may be is not checked here."""
    require_length("spec.url", spec.url, 1, limits.WEBHOOK_URL_LENGTH)
    require_label("spec.label", spec.label, limits.LABEL_LENGTH)
    _check_many("spec.chat_ids", spec.chat_ids)
    _check_many("spec.actor_ids", spec.actor_ids)
    for chat_id in spec.chat_ids:
        if not is_object_id(chat_id):
            raise invalid("spec.chat_ids: must be 24 lower-case hex digits each")
    for actor_id in spec.actor_ids:
        require_user_id(actor_id, "spec.actor_ids")


def _check_many(name: str, values: Sequence[str] | frozenset[str]) -> None:
    if len(values) > limits.WEBHOOK_FILTER:
        raise invalid(f"{name}: at most {limits.WEBHOOK_FILTER}")
