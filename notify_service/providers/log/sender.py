"""Shows notifications in the service's own log, for development."""

from typing_extensions import override

from mesh.logs import get_logger
from notify_service.domain.device import Device
from notify_service.domain.push import Push, PushKind
from notify_service.ports import Sender
from notify_service.providers.context import ProviderContext

_log = get_logger()


class LogSender(Sender):
    """A `Sender` for people who run Parley on a laptop.

    The line holds what the message says, which no other line of any service does: it is built in development
    mode only.
    """

    @override
    def provider(self, device: Device) -> str:
        """This process itself, whatever the device."""
        return device.kind.value

    @override
    async def send(self, push: Push, device: Device) -> str:
        """Writes one line `notification.shown` or `notification.cleared`; never fails."""
        shown = push.kind is PushKind.SHOW
        _log.info(
            "notification.shown" if shown else "notification.cleared",
            user_id=device.user_id,
            chat_id=push.chat_id,
            message_id=push.message_id,
            device_id=device.id,
            title=push.title,
            body=push.body,
            badge=push.badge,
        )
        return ""


def open_sender(context: ProviderContext) -> LogSender | None:
    """Never outside of development: it shows what messages say."""
    return LogSender() if context.settings.is_development else None
