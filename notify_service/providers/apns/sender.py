"""Sends through the Apple Push Notification service (HTTP/2, with a provider token)."""

from typing import Final
from urllib.parse import quote as quote_path

from typing_extensions import override

from mesh.clock import now_ms
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.push import Push
from notify_service.ports import NotAskedError, SendDelayedError, Sender
from notify_service.providers.answers import quote
from notify_service.providers.apns.errors import apns_error, is_provider_token_expired
from notify_service.providers.apns.message import ApnsMessage, apns_message
from notify_service.providers.apns.provider_token import ProviderTokens, SigningKey
from notify_service.providers.context import ProviderContext, log_disabled
from notify_service.providers.credentials import read_signing_key
from notify_service.providers.http import Answer
from notify_service.providers.http2 import Http2Client
from notify_service.providers.trimming import TooLongError

_PROVIDER: Final = "apns"
_RECEIPT: Final = "apns-id"


class ApnsSender(Sender):
    """The `Sender` for devices of kind `APNS`; their address is a device token in hexadecimal digits."""

    def __init__(self, http: Http2Client, url: str, key: SigningKey, topic: str, keep_seconds: float) -> None:
        """Makes the sender; nothing is asked yet.

        Args:
            http: asks APNs.
            url: of APNs, for production or development, without a path.
            key: signs the tokens that tell APNs who asks.
            topic: the app's bundle id.
            keep_seconds: how long APNs may keep a notification for a device that is away.
        """
        self._http = http
        self._url = url.rstrip("/")
        self._tokens = ProviderTokens(key)
        self._topic = topic
        self._keep_seconds = keep_seconds

    @override
    def provider(self, device: Device) -> str:
        """One for all devices."""
        del device
        return _PROVIDER

    @override
    async def send(self, push: Push, device: Device) -> str:
        """The `apns-id` that APNs gave it.

        A provider token that has expired is replaced, once.

        Raises:
            SendError: as `Sender` has it.
        """
        try:
            message = apns_message(push, self._topic, now_ms=now_ms(), keep_seconds=self._keep_seconds)
        except TooLongError as error:
            raise NotAskedError(str(error)) from error
        token = self._tokens.get()
        answer = await self._post(device, message, token)
        if is_provider_token_expired(answer) and (fresh := self._tokens.renew(token)) is not None:
            answer = await self._post(device, message, fresh)
        if not answer.is_success:
            raise apns_error(answer, device)
        if _RECEIPT not in answer.headers:
            # APNs names every notification that it takes: this is something else that says 200 to everything.
            raise SendDelayedError(f"HTTP {answer.status} without {_RECEIPT}")
        return quote(answer.headers[_RECEIPT])

    async def _post(self, device: Device, message: ApnsMessage, token: str) -> Answer:
        url = f"{self._url}/3/device/{quote_path(device.address, safe='')}"
        return await self._http.post(
            url, message.payload, {"authorization": f"bearer {token}", **message.headers}
        )


def open_sender(context: ProviderContext) -> ApnsSender | None:
    """Needs the key's file; `NotifySettings` sees to it that the key's id, team and topic come with it."""
    settings = context.settings
    if settings.notify_apns_key_file is None:
        log_disabled(DeviceKind.APNS, "PARLEY_NOTIFY_APNS_KEY_FILE")
        return None
    private_key = read_signing_key(settings.notify_apns_key_file)
    return ApnsSender(
        context.trusted,
        settings.notify_apns_url,
        SigningKey(private_key, settings.notify_apns_key_id, settings.notify_apns_team_id),
        settings.notify_apns_topic,
        settings.notify_push_expire_seconds,
    )
