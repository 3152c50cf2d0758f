"""Makes deliveries of the e-mails of the queue `email-send`."""

from collections.abc import Sequence
from typing import Final

from notify_service.domain.delivery import Lane, NewDelivery
from notify_service.ports import Deliveries
from notify_service.providers.smtp.mailer import PROVIDER
from parley.events.v1.jobs_pb2 import Email

_MS: Final = 1000


class EmailIntake:
    """Hands e-mails over to be delivered. One that comes twice is sent once: its id is the delivery's key."""

    def __init__(self, deliveries: Deliveries, *, expire_seconds: float) -> None:
        self._deliveries = deliveries
        self._expire_ms = round(expire_seconds * _MS)

    async def __call__(self, emails: Sequence[Email]) -> None:
        """Returns when they are stored as deliveries.

        Raises:
            Unavailable: MongoDB cannot be reached; all of it can be repeated.
        """
        await self._deliveries.add([self._delivery(email) for email in emails])

    def _delivery(self, email: Email) -> NewDelivery:
        return NewDelivery(
            key=f"email:{email.id}",
            lane=Lane.EMAIL,
            provider=PROVIDER,
            target_id=email.device_id,
            payload=email.SerializeToString(),
            created_at_ms=email.created_at_ms,
            expires_at_ms=email.created_at_ms + self._expire_ms,
            user_id=email.user_id,
        )
