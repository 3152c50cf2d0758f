"""The subscriptions of integrators."""

from collections.abc import Callable
from typing import Never

from mesh.clock import now_ms
from mesh.errors import NotFound
from mesh.logs import get_logger
from notify_service.delivery.ports import DeliveryLog
from notify_service.domain.limits import invalid
from notify_service.domain.signature import BadSecretError, check_secret, new_secret
from notify_service.webhooks.known_subscriptions import KnownSubscriptions
from notify_service.webhooks.ports import SubscriptionStore
from notify_service.webhooks.subscription import (
    MAX_SUBSCRIPTIONS,
    REMOVED,
    Subscription,
    SubscriptionSpec,
    check_spec,
)
from parley.common.v1.error_pb2 import ErrorReason

_log = get_logger()


class Subscriptions:
    """Makes, shows, changes and removes them. Every method raises `Unavailable` while MongoDB is away.

    `check_url` raises `InvalidArgument` for a URL that requests must not go to.
    """

    def __init__(
        self,
        store: SubscriptionStore,
        known: KnownSubscriptions,
        deliveries: DeliveryLog,
        check_url: Callable[[str], None],
    ) -> None:
        self._store = store
        self._known = known
        self._deliveries = deliveries
        self._check_url = check_url

    async def create(self, spec: SubscriptionSpec, secret: str = "") -> Subscription:
        """Makes one, with this secret or with a new one.

        Raises:
            InvalidArgument: a field breaks its rule, or there are `MAX_SUBSCRIPTIONS` already.
        """
        self._check(spec)
        if secret:
            try:
                check_secret(secret)
            except BadSecretError as error:
                raise invalid(f"signing_secret: {error}") from error
        # Two at once may both find the last place free: the limit keeps filtering quick, one more does too.
        if len(await self._store.list()) >= MAX_SUBSCRIPTIONS:
            raise invalid(f"subscription: there are {MAX_SUBSCRIPTIONS} already")
        made = await self._store.add(spec, secret or new_secret(), now_ms())
        self._known.forget()
        _log.info("hooks.subscription_made", subscription_id=made.id)
        return made

    async def list(self) -> list[Subscription]:
        """All of them, the oldest first."""
        return await self._store.list()

    async def update(self, subscription_id: str, spec: SubscriptionSpec) -> Subscription:
        """Replaces what it says.

        Raises:
            InvalidArgument: a field breaks its rule.
            NotFound: SUBSCRIPTION_NOT_FOUND.
        """
        self._check(spec)
        changed = await self._store.replace(subscription_id, spec, now_ms())
        self._known.forget()
        return changed or _not_found()

    async def rotate(self, subscription_id: str) -> str:
        """Makes a new secret, which it returns; for a day requests are signed with the one before as well.

        Raises:
            NotFound: SUBSCRIPTION_NOT_FOUND.
        """
        secret = new_secret()
        if await self._store.rotate(subscription_id, secret, now_ms()) is None:
            _not_found()
        self._known.forget()
        _log.info("hooks.secret_rotated", subscription_id=subscription_id)
        return secret

    async def remove(self, subscription_id: str) -> None:
        """Removes it, and gives up what waits for it.

        Raises:
            NotFound: SUBSCRIPTION_NOT_FOUND.
        """
        if not await self._store.remove(subscription_id):
            _not_found()
        self._known.forget()
        # What another process adds in the next seconds is given up by the handler.
        waited = await self._deliveries.give_up(subscription_id, REMOVED, now_ms())
        _log.info("hooks.subscription_removed", subscription_id=subscription_id, given_up=waited)

    def _check(self, spec: SubscriptionSpec) -> None:
        check_spec(spec)
        self._check_url(spec.url)


def _not_found() -> Never:
    raise NotFound(ErrorReason.ERROR_REASON_SUBSCRIPTION_NOT_FOUND, "there is no such subscription")
