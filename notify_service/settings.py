"""What notify_service needs to know."""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from mesh.settings import (
    AmqpUrl,
    GrpcTarget,
    HttpUrl,
    MongoUrl,
    Port,
    PositiveInt,
    PositiveSeconds,
    ServerSettings,
    other_than,
    variable_name,
)
from notify_service.domain.mailbox import parse_mailbox
from notify_service.providers.credentials import read_service_account, read_signing_key
from notify_service.providers.web_push.vapid_key import VapidKey

_APNS = ("notify_apns_key_file", "notify_apns_key_id", "notify_apns_team_id", "notify_apns_topic")
_SMTP = ("notify_smtp_host", "notify_smtp_from")
_MONTH = 30 * 86_400
# Inboxes that nothing happened to for longer are removed, and no calendar holds the ends of all longer times.
_UpToAMonth = Annotated[float, Field(gt=0, le=_MONTH)]


class NotifySettings(ServerSettings):
    """Read from `PARLEY_AMQP_URL`, `PARLEY_MONGO_URL`, `PARLEY_NOTIFY_PORT` and so on."""

    amqp_url: AmqpUrl
    mongo_url: MongoUrl
    """The server; the database is always `parley_notify`."""
    persist_target: GrpcTarget = "dns:///127.0.0.1:50052"
    """Who knows what was read meanwhile."""
    notify_port: Port = 50053
    notify_admin_port: Annotated[Port, other_than("notify_port")] = 9153
    notify_public_url: HttpUrl = "http://127.0.0.1:8080"
    """Where people reach the edge, for the links in mails."""

    notify_mongo_seconds: Annotated[float, Field(ge=0.1, le=10)] = 3.0
    """How long one operation on MongoDB may take; the largest inserts 500 deliveries. Callers of an RPC, who
    usually wait 5 s, learn what is down if it is less. Claims last 15 s longer than attempts."""

    notify_idle_seconds: _UpToAMonth = 300.0
    """A connected user who did nothing for so long is notified as if there were no connection."""
    notify_active_recheck_seconds: _UpToAMonth = 60.0
    """How long after a message a user who was active then, and so was not notified, is looked at again."""
    notify_delay_seconds: _UpToAMonth = 1.0
    """How long a chat must be silent before its members are notified, so that a burst is notified once."""
    notify_delay_max_seconds: _UpToAMonth = Field(default=5.0, validate_default=True)
    """They are notified after this time even when it is never silent."""
    notify_repeat_seconds: Annotated[float, Field(ge=0, le=_MONTH)] = 10.0
    """The next notification of the same chat comes at least so long after the one before it."""
    notify_digest_after_seconds: _UpToAMonth = 3600.0
    """How long a message stays unread before it is mailed."""
    notify_digest_every_seconds: _UpToAMonth = 86400.0
    """A user gets at most one digest in this time."""
    notify_badge_muted: bool = False
    """What is unread in muted chats counts in the badge."""
    notify_ledger_days: Annotated[float, Field(ge=1, le=3650)] = 30.0
    """How long the ledger answers, and repeats are known: longer than jobs are tried again."""

    notify_push_expire_seconds: _UpToAMonth = 86400.0
    """A push or mail that could not be delivered for so long is given up."""
    notify_hook_expire_seconds: _UpToAMonth = 86400.0
    """An event that a subscriber did not take for so long is dead-lettered."""
    notify_send_seconds: Annotated[float, Field(gt=0, le=300)] = 10.0
    """How long a provider or receiver may take to answer, counted from resolving its name."""
    notify_provider_concurrency: PositiveInt = 16
    """Attempts under way at one provider, per process."""
    notify_provider_rate: PositiveSeconds = 200.0
    """Attempts that begin at one provider per second, per process."""
    notify_brake_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    """When this share of a provider's answers within a minute calls devices unknown, none is forgotten."""
    notify_brake_least: PositiveInt = 10
    """And when these are so many at least, per process."""
    notify_allow_loopback: bool = False
    """Development: let Web Push and webhooks go to this machine, over plain http as well."""
    notify_ca_file: Path | None = None
    """Certificates (PEM) that providers are trusted by, besides the public ones."""

    notify_vapid_key_file: Path | None = None
    """The key (PEM, P-256) that names this deployment to push services. Not set: one is made on first start
    and kept in MongoDB."""
    notify_vapid_subject: str = Field(default="", pattern=r"^(mailto:.+@.+|https://.+)?$")
    """Whom a push service may contact, `mailto:` or `https:`. Empty: the public URL, where it is https."""
    notify_fcm_credentials_file: Path | None = None
    """The service account (JSON) for Firebase Cloud Messaging."""
    notify_fcm_url: HttpUrl = "https://fcm.googleapis.com"
    notify_apns_key_file: Path | None = None
    """The signing key (.p8) for the Apple Push Notification service."""
    notify_apns_key_id: str = Field(default="", pattern=r"^[A-Za-z0-9]*$")
    notify_apns_team_id: str = Field(default="", pattern=r"^[A-Za-z0-9]*$")
    notify_apns_topic: str = Field(default="", pattern=r"^[A-Za-z0-9.-]*$", validate_default=True)
    """The app's bundle id."""
    notify_apns_url: HttpUrl = "https://api.push.apple.com"
    notify_smtp_host: str = ""
    """The mail server; empty: no mails."""
    notify_smtp_port: Port = 587
    notify_smtp_user: str = ""
    notify_smtp_password: SecretStr = SecretStr("")
    notify_smtp_from: str = Field(default="", validate_default=True)
    """The sender of mails, such as `Parley <chat@example.com>`."""
    notify_smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """`starttls` refuses to go on without it; `none` is for a server on this machine."""

    @field_validator("notify_vapid_key_file")
    @classmethod
    def _vapid_key_is_one(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                VapidKey.from_pem(path.read_bytes())
            except OSError as error:
                raise ValueError(f"cannot be read: {error.strerror}") from error
        return path

    @field_validator("notify_ca_file")
    @classmethod
    def _ca_file_holds_certificates(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
            except ssl.SSLError as error:
                raise ValueError("is not a file of certificates (PEM)") from error
            except OSError as error:
                raise ValueError(f"cannot be read: {error.strerror}") from error
        return path

    @field_validator("notify_smtp_from")
    @classmethod
    def _mailbox(cls, text: str, info: ValidationInfo) -> str:
        _require_all_or_none("e-mail", _SMTP, {**info.data, "notify_smtp_from": text})
        if text:
            parse_mailbox(text)
        return text

    @field_validator("notify_apns_topic")
    @classmethod
    def _apns_is_whole(cls, topic: str, info: ValidationInfo) -> str:
        _require_all_or_none("APNs", _APNS, {**info.data, "notify_apns_topic": topic})
        return topic

    @field_validator("notify_delay_max_seconds")
    @classmethod
    def _max_is_no_less(cls, seconds: float, info: ValidationInfo) -> float:
        if seconds < info.data.get("notify_delay_seconds", 0):
            raise ValueError(f"is shorter than {variable_name('notify_delay_seconds')}")
        return seconds

    @field_validator("notify_fcm_credentials_file")
    @classmethod
    def _is_a_service_account(cls, path: Path | None) -> Path | None:
        if path is not None:
            read_service_account(path)
        return path

    @field_validator("notify_apns_key_file")
    @classmethod
    def _is_a_signing_key(cls, path: Path | None) -> Path | None:
        if path is not None:
            read_signing_key(path)
        return path

    @field_validator("notify_fcm_url", "notify_apns_url")
    @classmethod
    def _is_https(cls, url: str) -> str:
        if not url.startswith("https://"):
            raise ValueError("must begin with https://: both are spoken to over HTTP/2 with TLS")
        return url


def _require_all_or_none(sender: str, fields: Sequence[str], data: Mapping[str, object]) -> None:
    """Some of what a sender needs and not all is a mistake. A field that `data` lacks was set wrongly."""
    missing = [variable_name(field) for field in fields if not data.get(field, "wrong")]
    if missing and len(missing) < len(fields):
        raise ValueError(f"{sender} needs {', '.join(missing)} as well")
