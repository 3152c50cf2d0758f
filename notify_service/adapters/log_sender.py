"""Shows notifications in the service's own log, for development."""

from mesh.logs import get_logger
from notify_service.domain.device import Device
from notify_service.domain.notification import Notification
from notify_service.domain.wording import Wording

_log = get_logger()


class LogSender:
    """A `Sender` for people who run Parley on a laptop.

    The line holds what the message says, which no other line of any service does: `app` builds this sender in
    development mode only.
    """

    async def send(self, notification: Notification, wording: Wording, device: Device) -> None:
        """Writes one line `notification.shown`; never fails."""
        _log.info(
            "notification.shown",
            user_id=notification.user_id,
            chat_id=notification.chat_id,
            message_id=notification.message_id,
            device_id=device.id,
            title=wording.title,
            body=wording.body,
        )
