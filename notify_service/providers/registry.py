"""Which providers there are. A new one is a folder beside this file and a line in `PROVIDERS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from notify_service.domain.device import DeviceKind
from notify_service.ports import Sender
from notify_service.providers.apns import sender as apns
from notify_service.providers.context import ProviderContext
from notify_service.providers.fcm import sender as fcm
from notify_service.providers.log import sender as log
from notify_service.providers.smtp.mailer import PROVIDER as SMTP
from notify_service.providers.web_push import sender as web_push
from notify_service.providers.webhook import sender as webhook


@dataclass(frozen=True, slots=True)
class Provider:
    """How one kind of device is reached."""

    open: Callable[[ProviderContext], Sender | None]
    """None, with one line in the log, when a setting that it needs is missing."""
    named_by_settings: bool
    """Whether the operator says who is asked, not the user by the device's address."""


PROVIDERS: Final[Mapping[DeviceKind, Provider]] = {
    DeviceKind.WEB_PUSH: Provider(web_push.open_sender, named_by_settings=False),
    DeviceKind.WEBHOOK: Provider(webhook.open_sender, named_by_settings=False),
    DeviceKind.FCM: Provider(fcm.open_sender, named_by_settings=True),
    DeviceKind.APNS: Provider(apns.open_sender, named_by_settings=True),
    DeviceKind.LOG: Provider(log.open_sender, named_by_settings=True),
}

NAMED_BY_SETTINGS: Final = frozenset(
    {SMTP, *(kind.value for kind, provider in PROVIDERS.items() if provider.named_by_settings)}
)
"""Names of providers that no user can add to."""


def open_senders(context: ProviderContext) -> dict[DeviceKind, Sender]:
    """One for each kind of device whose settings are there."""
    opened = {kind: provider.open(context) for kind, provider in PROVIDERS.items()}
    return {kind: sender for kind, sender in opened.items() if sender is not None}
