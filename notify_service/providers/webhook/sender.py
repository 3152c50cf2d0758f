"""Signed requests to webhooks (Standard Webhooks): one way for devices and for integrators' subscriptions."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from typing_extensions import override

from mesh.clock import now_ms, to_rfc3339
from notify_service.domain.device import Device
from notify_service.domain.push import Push, PushKind
from notify_service.domain.signature import BadSecretError, sign
from notify_service.ports import (
    NotAskedError,
    SendDelayedError,
    Sender,
    SendError,
    SendRefusedError,
    SignedPost,
    TargetGoneError,
)
from notify_service.providers.context import ProviderContext
from notify_service.providers.http import (
    Answer,
    HttpClient,
    authority_of,
    failure,
    parse_url,
    retry_after_seconds,
)

_MAX_PROVIDER: Final = 100
_OF_THIS_REQUEST: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""Statuses that say nothing about the next request to the same receiver."""


class WebhookClient(SignedPost):
    """A `SignedPost`."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    @override
    async def __call__(self, url: str, body: bytes, webhook_id: str, signing_secrets: Sequence[str]) -> str:
        """Posts JSON, signed now with each of the secrets; the status as the receipt."""
        try:
            signature = sign(signing_secrets, webhook_id, now_ms() // 1000, body)
        except BadSecretError as error:
            raise NotAskedError(f"the signing secret {error}") from error
        answer = await self._http.post(url, body, {"content-type": "application/json", **signature})
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return f"HTTP {answer.status}"
        raise verdict(answer)


class WebhookSender(Sender):
    """The `Sender` for devices of kind `WEBHOOK`: servers that take a user's notifications."""

    def __init__(self, post: SignedPost) -> None:
        self._post = post

    @override
    def provider(self, device: Device) -> str:
        """The server, by host and port: many users may have their webhooks there."""
        try:
            return f"webhook:{authority_of(parse_url(device.address))}"[:_MAX_PROVIDER]
        except NotAskedError:
            return "webhook"

    @override
    async def send(self, push: Push, device: Device) -> str:
        """Posts the push under the id of its delivery."""
        return await self._post(
            device.address, push_json(push, device.user_id), push.delivery_id, (device.signing_secret,)
        )


def verdict(answer: Answer) -> SendError:
    """What a status other than 2xx means for a webhook.

    410 says that the receiver wants no more, 429 that it wants fewer: the pause is for all that goes there
    (Standard Webhooks, "Deliverability and reliability"). All else is tried again, also 401, 404 or a
    redirect: behind a webhook is a server that somebody will repair.
    """
    if answer.status == HTTPStatus.GONE:
        return TargetGoneError(answer.detail)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return SendDelayedError(answer.detail, retry_after_seconds=retry_after_seconds(answer.headers))
    usual = failure(answer, gone=())
    if isinstance(usual, SendRefusedError):
        return SendDelayedError(
            str(usual),
            retry_after_seconds=retry_after_seconds(answer.headers),
            provider_down=answer.status not in _OF_THIS_REQUEST,
        )
    return usual


def push_json(push: Push, user_id: str) -> bytes:
    """The body of a request for a device: `notification.show` or `notification.clear`."""
    data: dict[str, Any] = {"userId": user_id, "chatId": push.chat_id, "badge": push.badge}
    if push.kind is PushKind.SHOW:
        data |= {
            "title": push.title,
            "body": push.body,
            "messageId": push.message_id,
            "senderId": push.sender_id,
            "count": push.count,
        }
    return msgspec.json.encode(
        {
            "type": f"notification.{push.kind.value}",
            "timestamp": to_rfc3339(push.at_ms or now_ms()),
            "data": data,
        }
    )


def open_sender(context: ProviderContext) -> WebhookSender:
    """Needs no setting."""
    return WebhookSender(WebhookClient(context.guarded))
