"""What devices are sent, in terms that every provider's sender can put into its own."""

from dataclasses import dataclass
from enum import Enum

import msgspec


class PushKind(Enum):
    """What the device should do."""

    SHOW = "show"
    """Show a notification, in place of the one it shows for the same chat, if any."""
    CLEAR = "clear"
    """Take away the notification of the chat: it was read elsewhere."""


@dataclass(frozen=True, slots=True)
class Push:
    """One thing to show on a device, or to take away; the chat's id is its tag, since each chat has one."""

    kind: PushKind
    chat_id: str
    badge: int
    """Unread messages of the user in all chats that count."""
    title: str = ""
    """Empty for `CLEAR`."""
    body: str = ""
    """Empty for `CLEAR`."""
    message_id: str = ""
    """The last message it is about; empty for `CLEAR`."""
    sender_id: str = ""
    """Who sent that message."""
    count: int = 0
    """Unread messages of the chat that it stands for, at least 1; 0 for `CLEAR`."""
    at_ms: int = 0
    """When that message was accepted, Unix milliseconds."""
    urgent: bool = True
    """Wake the device for it: a new message. False: it may wait until the device is awake."""
    batch_id: str = ""
    """The batch of messages that it shows, or takes away: see `domain.inbox`."""
    chat_title: str = ""
    """What names the chat without its last sender, for when that message must not be shown any more."""
    seq: int = 0
    """The position of that message; 0 for `CLEAR`."""
    direct: bool = True
    """It is about a direct chat."""
    mentioned: bool = False
    """Some message that it is about mentions the user."""
    delivery_id: str = ""
    """The delivery that carries it, by which a receiver may know a repeat; set by the handler."""


@dataclass(frozen=True, slots=True)
class WaitingPush:
    """A push to a user that was decided some time ago."""

    user_id: str
    push: Push
    message_ids: tuple[str, ...]
    """What it is about; empty for `CLEAR`."""


def to_payload(push: Push) -> bytes:
    """What a delivery of the lane `DEVICE` carries."""
    return msgspec.json.encode(push)


def from_payload(payload: bytes) -> Push:
    """What `to_payload` was given."""
    return msgspec.json.decode(payload, type=Push)


def seconds_left(push: Push, keep_seconds: float, now_ms: int) -> int:
    """How long a provider may still keep it for a device that is away, whole seconds; 0: now or never.

    Args:
        push: what goes out; one that does not say when its message was accepted is as new as can be.
        keep_seconds: how long it is worth showing.
        now_ms: Unix milliseconds.
    """
    age_ms = max(0, now_ms - push.at_ms) if push.at_ms else 0
    return max(0, int(keep_seconds - age_ms / 1000))
