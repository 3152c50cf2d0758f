"""Fields that services refuse are told by the names that they have in the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.rest.errors import failure_of, invalid
from edge.rest.notification_bodies import MutedChatJson, PreferencesJson, QuietHoursJson, WebPushKeysBody
from edge.rest.webhook_bodies import SubscriptionBody
from parley.notify.v1 import notify_service_pb2 as pb
from parley.notify.v1.webhook_service_pb2 import SubscriptionSpec

if TYPE_CHECKING:
    from google.protobuf.message import Message


def told(message: str) -> str:
    """What a client is told in place of this message of a service."""
    return failure_of(invalid(message), 500, "r-1")[1].message


@pytest.mark.parametrize(
    ("body", "message", "prefix"),
    [
        (PreferencesJson, pb.Preferences, "preferences."),
        (QuietHoursJson, pb.QuietHours, "preferences.quiet_hours."),
        (MutedChatJson, pb.MutedChat, "chat."),
        (WebPushKeysBody, pb.WebPushKeys, "web_push_keys."),
        (SubscriptionBody, SubscriptionSpec, "spec."),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_field_of_a_body_is_told_by_its_name_there(
    body: type[msgspec.Struct], message: type[Message], prefix: str
) -> None:
    names = {told(f"{prefix}{name}: is wrong") for name in message.DESCRIPTOR.fields_by_name}
    within = {"preferences.quiet_hours.": "quietHours.", "web_push_keys.": "keys."}.get(prefix, "")
    assert names == {f"{within}{field.encode_name}: is wrong" for field in msgspec.structs.fields(body)}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("user_id, message_id: one is needed", "userId, messageId: one is needed"),
        ("before_id: must be an id", "before: must be an id"),
        ("chat: 1000 chats are muted already", "chat: 1000 chats are muted already"),
        ("signing_secret: is too short\nby two", "signingSecret: is too short\nby two"),
        ("give userId, messageId, or both", "give userId, messageId, or both"),
        ("", ""),
    ],
)
def test_messages_that_begin_with_no_field_stay(said: str, message: str) -> None:
    assert told(said) == message
