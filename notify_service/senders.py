"""Which senders there are, by the settings."""

from mesh.lifecycle import Lifecycle
from mesh.logs import get_logger
from notify_service.adapters.senders.apns.provider_token import SigningKey
from notify_service.adapters.senders.apns.sender import ApnsSender
from notify_service.adapters.senders.fcm.sender import FcmSender
from notify_service.adapters.senders.http import HttpClient, open_http
from notify_service.adapters.senders.http2 import Http2Client, open_http2
from notify_service.adapters.senders.log import LogSender
from notify_service.adapters.senders.smtp import SmtpMailer, SmtpServer
from notify_service.adapters.senders.vapid import Vapid
from notify_service.adapters.senders.web_push import WebPushSender
from notify_service.adapters.senders.webhook import WebhookClient, WebhookSender
from notify_service.credentials import read_service_account, read_signing_key
from notify_service.domain.device import DeviceKind
from notify_service.domain.vapid import VapidKey
from notify_service.ports import KeyStore, Sender
from notify_service.settings import NotifySettings

_log = get_logger()


async def open_senders(
    settings: NotifySettings, life: Lifecycle, guarded: HttpClient, vapid: Vapid
) -> dict[DeviceKind, Sender]:
    """One per kind of device; a kind whose credentials are missing is left out, with one line in the log.

    Args:
        settings: the service's.
        life: ends what the senders hold open.
        guarded: the client for URLs that users give, by `open_guarded`.
        vapid: the key for Web Push.
    """
    senders: dict[DeviceKind, Sender] = {
        DeviceKind.WEB_PUSH: WebPushSender(guarded, vapid, settings.notify_push_expire_seconds),
        DeviceKind.WEBHOOK: WebhookSender(WebhookClient(guarded)),
    }
    providers = await _open_providers(settings, life)
    if settings.notify_fcm_credentials_file is None:
        _disabled(DeviceKind.FCM, "PARLEY_NOTIFY_FCM_CREDENTIALS_FILE")
    else:
        account = read_service_account(settings.notify_fcm_credentials_file)
        senders[DeviceKind.FCM] = FcmSender(
            providers, settings.notify_fcm_url, account, settings.notify_push_expire_seconds
        )
    if settings.notify_apns_key_file is None:
        _disabled(DeviceKind.APNS, "PARLEY_NOTIFY_APNS_KEY_FILE")
    else:
        private_key = read_signing_key(settings.notify_apns_key_file)
        key = SigningKey(private_key, settings.notify_apns_key_id, settings.notify_apns_team_id)
        senders[DeviceKind.APNS] = ApnsSender(
            providers,
            settings.notify_apns_url,
            key,
            settings.notify_apns_topic,
            settings.notify_push_expire_seconds,
        )
    if settings.is_development:
        # The log sender shows what messages say: never outside of development.
        senders[DeviceKind.LOG] = LogSender()
    return senders


async def open_guarded(settings: NotifySettings, life: Lifecycle) -> HttpClient:
    """The client for URLs that users give."""
    return await life.enter(
        open_http(
            seconds=settings.notify_send_seconds,
            allow_loopback=settings.notify_allow_loopback,
            ca_file=settings.notify_ca_file,
        )
    )


async def open_mailer(settings: NotifySettings, life: Lifecycle) -> SmtpMailer | None:
    """What mails go through; without a mail server there is none, and one line in the log."""
    if not settings.notify_smtp_host:
        _disabled(DeviceKind.EMAIL, "PARLEY_NOTIFY_SMTP_HOST")
        return None
    server = SmtpServer(
        host=settings.notify_smtp_host,
        port=settings.notify_smtp_port,
        user=settings.notify_smtp_user,
        password=settings.notify_smtp_password.get_secret_value(),
        security=settings.notify_smtp_security,
        ca_file=settings.notify_ca_file,
        seconds=settings.notify_send_seconds,
    )
    return await life.enter(SmtpMailer.open(server))


def make_vapid(settings: NotifySettings, store: KeyStore) -> Vapid:
    """What requests to push services are signed with; says so when these cannot tell whom to contact."""
    subject = settings.notify_vapid_subject
    if not subject and settings.notify_public_url.startswith("https://"):
        subject = settings.notify_public_url
    if not subject:
        # RFC 8292 lets it be left out; Apple's push service refuses what has none.
        _log.info("notify.vapid_without_subject", missing="PARLEY_NOTIFY_VAPID_SUBJECT")
    return Vapid(store, subject, _vapid_key(settings))


async def _open_providers(settings: NotifySettings, life: Lifecycle) -> Http2Client:
    """The client for URLs that the operator gives."""
    return await life.enter(open_http2(seconds=settings.notify_send_seconds, ca_file=settings.notify_ca_file))


def _disabled(kind: DeviceKind, missing: str) -> None:
    _log.info("notify.sender_disabled", kind=kind.value, missing=missing)


def _vapid_key(settings: NotifySettings) -> VapidKey | None:
    path = settings.notify_vapid_key_file
    return None if path is None else VapidKey.from_pem(path.read_bytes())
