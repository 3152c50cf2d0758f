"""Sends through Firebase Cloud Messaging (HTTP v1)."""

from typing import Final
from urllib.parse import quote as quote_path

import msgspec
from typing_extensions import override

from mesh.clock import now_ms
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.push import Push
from notify_service.ports import NotAskedError, SendDelayedError, Sender
from notify_service.providers.answers import decode, quote
from notify_service.providers.context import ProviderContext, log_disabled
from notify_service.providers.credentials import ServiceAccount, read_service_account
from notify_service.providers.fcm.access_token import AccessToken, AccessTokens
from notify_service.providers.fcm.errors import fcm_error, is_access_refused
from notify_service.providers.fcm.message import fcm_message
from notify_service.providers.http import Answer
from notify_service.providers.http2 import Http2Client
from notify_service.providers.trimming import TooLongError

_PROVIDER: Final = "fcm"


class _Sent(msgspec.Struct):
    name: str


class FcmSender(Sender):
    """The `Sender` for devices of kind `FCM`; their address is a registration token."""

    def __init__(self, http: Http2Client, url: str, account: ServiceAccount, keep_seconds: float) -> None:
        """Makes the sender; nothing is asked yet.

        Args:
            http: asks Firebase, and Google for access tokens.
            url: Firebase's, without a path.
            account: belongs to the Firebase project.
            keep_seconds: how long Firebase may keep a message for a device that is away.
        """
        self._http = http
        self._url = f"{url.rstrip('/')}/v1/projects/{quote_path(account.project_id, safe=':')}/messages:send"
        self._tokens = AccessTokens(http, account)
        self._keep_seconds = keep_seconds

    @override
    def provider(self, device: Device) -> str:
        """One for all devices."""
        del device
        return _PROVIDER

    @override
    async def send(self, push: Push, device: Device) -> str:
        """The message's name, without the project that all names begin with.

        An access token that is refused is replaced, once.

        Raises:
            SendError: as `Sender` has it.
        """
        try:
            body = fcm_message(push, device.address, now_ms=now_ms(), keep_seconds=self._keep_seconds)
        except TooLongError as error:
            raise NotAskedError(str(error)) from error
        token = await self._tokens.get()
        answer = await self._post(body, token)
        if is_access_refused(answer):
            self._tokens.forget(token)
            answer = await self._post(body, await self._tokens.get())
        if not answer.is_success:
            raise fcm_error(answer, device.address)
        return _receipt(answer)

    async def _post(self, body: bytes, token: AccessToken) -> Answer:
        headers = {"authorization": f"Bearer {token.value}", "content-type": "application/json"}
        return await self._http.post(self._url, body, headers)


def _receipt(answer: Answer) -> str:
    sent = decode(answer.body, _Sent)
    if sent is None:
        # Something that is not Firebase says 200 to everything, such as a proxy's page for logging in.
        raise SendDelayedError(f"HTTP {answer.status} without the name of a message")
    return quote(sent.name.rpartition("/")[2])


def open_sender(context: ProviderContext) -> FcmSender | None:
    """Needs the service account's file."""
    settings = context.settings
    if settings.notify_fcm_credentials_file is None:
        log_disabled(DeviceKind.FCM, "PARLEY_NOTIFY_FCM_CREDENTIALS_FILE")
        return None
    account = read_service_account(settings.notify_fcm_credentials_file)
    return FcmSender(context.trusted, settings.notify_fcm_url, account, settings.notify_push_expire_seconds)
