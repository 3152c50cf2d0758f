"""What the tests of senders to phones send, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from notify_service.domain.device import Device
from notify_service.domain.push import Push, PushKind

if TYPE_CHECKING:
    from notify_service.domain.device import DeviceKind

PUSH = Push(
    PushKind.SHOW,
    chat_id="65f000000000000000000001",
    badge=7,
    title="Ann",
    body="hello",
    message_id="65f000000000000000000002",
    sender_id="ann",
    count=2,
)
CLEAR = Push(PushKind.CLEAR, chat_id=PUSH.chat_id, badge=0, urgent=False)


def phone(kind: DeviceKind, address: str, number: int = 0) -> Device:
    """A phone of bob's."""
    return Device(
        id=f"{number:024x}",
        user_id="bob",
        kind=kind,
        address=address,
        label="phone",
        created_at_ms=1_000,
        refreshed_at_ms=5_000,
    )
