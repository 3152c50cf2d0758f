"""Web Push: RFC 8030 (delivery), RFC 8291 (encryption), RFC 8292 (VAPID)."""

from functools import partial
from http import HTTPStatus
from typing import Final

from typing_extensions import override

from mesh.clock import now_ms
from notify_service.domain.device import Device
from notify_service.domain.push import Push, PushKind, seconds_left
from notify_service.ports import NotAskedError, Sender
from notify_service.providers.context import ProviderContext
from notify_service.providers.http import Answer, HttpClient, authority_of, failure, parse_url
from notify_service.providers.trimming import fit
from notify_service.providers.web_push.message import MAX_PAYLOAD, Subscription, payload
from notify_service.providers.web_push.vapid import Vapid

_SMALL_PAYLOAD: Final = 2048
"""Bytes, in the second try: for a push service that takes less than it should."""
_MAX_PROVIDER: Final = 100
_APPLE: Final = ".push.apple.com"


class WebPushSender(Sender):
    """A `Sender` for browsers."""

    def __init__(self, http: HttpClient, vapid: Vapid, expire_seconds: float) -> None:
        self._http = http
        self._vapid = vapid
        self._expire_seconds = expire_seconds

    @override
    def provider(self, device: Device) -> str:
        """The push service, by host and port: what does not answer on another port says nothing of it."""
        try:
            return f"web-push:{authority_of(parse_url(device.address))}"[:_MAX_PROVIDER]
        except NotAskedError:
            return "web-push"

    @override
    async def send(self, push: Push, device: Device) -> str:
        """Returns the status with which the push service took it.

        Raises:
            SendError: by what the push service, or the way to it, says.
            Unavailable: the key that requests are signed with is not known yet and cannot be read.
        """
        endpoint = parse_url(device.address)
        if push.kind is PushKind.CLEAR and endpoint.host.decode().endswith(_APPLE):
            # Safari withdraws the permission from sites that are pushed to and show nothing.
            raise NotAskedError("Safari has to show something for each push, so nothing is cleared there")
        subscription = _subscription(device)
        origin = f"{endpoint.scheme.decode()}://{authority_of(endpoint)}"
        headers = {
            "authorization": await self._vapid.authorization(origin),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(seconds_left(push, self._expire_seconds, now_ms())),  # RFC 8030, 5.2
            "urgency": "high" if push.urgent else "normal",
            "topic": subscription.topic(push.chat_id),
        }

        async def post(limit: int) -> Answer:
            plain = fit(partial(payload, push), push.title, push.body, limit)
            return await self._http.post(device.address, subscription.encrypt(plain), headers)

        answer = await post(MAX_PAYLOAD)
        if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            answer = await post(_SMALL_PAYLOAD)
        if not answer.is_success:
            raise failure(answer)
        return answer.detail


def _subscription(device: Device) -> Subscription:
    if device.web_push_keys is None:
        raise NotAskedError("the subscription has no keys")
    try:
        return Subscription.of(device.web_push_keys)
    except ValueError as error:
        raise NotAskedError(f"the subscription's keys are wrong: {error}") from error


def open_sender(context: ProviderContext) -> WebPushSender:
    """Needs no setting: the key is made where none is given."""
    return WebPushSender(context.guarded, context.vapid, context.settings.notify_push_expire_seconds)
