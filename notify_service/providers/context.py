"""What a provider is opened with."""

from dataclasses import dataclass
from typing import Self

from mesh.lifecycle import Lifecycle
from mesh.logs import get_logger
from notify_service.domain.device import DeviceKind
from notify_service.ports import KeyStore
from notify_service.providers.http import HttpClient, open_http
from notify_service.providers.http2 import Http2Client, open_http2
from notify_service.providers.web_push.vapid import Vapid
from notify_service.providers.web_push.vapid_key import VapidKey
from notify_service.settings import NotifySettings

_log = get_logger()


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """Settings and shared clients; whoever opened them ends them."""

    settings: NotifySettings
    guarded: HttpClient
    """For URLs that users give."""
    trusted: Http2Client
    """For URLs that the operator gives."""
    vapid: Vapid

    @classmethod
    async def open(cls, settings: NotifySettings, lifecycle: Lifecycle, keys: KeyStore) -> Self:
        """Opens the clients, which connect to nobody yet."""
        guarded = open_http(
            seconds=settings.notify_send_seconds,
            allow_loopback=settings.notify_allow_loopback,
            ca_file=settings.notify_ca_file,
        )
        trusted = open_http2(seconds=settings.notify_send_seconds, ca_file=settings.notify_ca_file)
        return cls(
            settings,
            await lifecycle.enter(guarded),
            await lifecycle.enter(trusted),
            _make_vapid(settings, keys),
        )


def log_disabled(kind: DeviceKind, missing: str) -> None:
    """Logs that a kind of device is left out, and which setting is missing for it."""
    _log.info("notify.sender_disabled", kind=kind.value, missing=missing)


def _make_vapid(settings: NotifySettings, keys: KeyStore) -> Vapid:
    subject = settings.notify_vapid_subject
    if not subject and settings.notify_public_url.startswith("https://"):
        subject = settings.notify_public_url
    if not subject:
        # RFC 8292 lets it be left out; Apple's push service refuses what has none.
        _log.info("notify.vapid_without_subject", missing="PARLEY_NOTIFY_VAPID_SUBJECT")
    path = settings.notify_vapid_key_file
    return Vapid(keys, subject, None if path is None else VapidKey.from_pem(path.read_bytes()))
