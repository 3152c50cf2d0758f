"""What an address of each kind of device must look like. Pure: host names are checked when sending."""

import base64
import binascii
import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

import idna
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from contract import limits
from notify_service.domain.device import DeviceKind, WebPushKeys
from notify_service.domain.limits import invalid, require_length
from notify_service.domain.network import is_loopback, is_public

# RFC 5321, 4.5.3.1.1, and the path of 4.5.3.1.3 without its brackets.
_MAX_LOCAL_PART: Final = 64
_MAX_MAIL: Final = 254
# A dot-atom (RFC 5322, 3.2.3). Quoted local parts are allowed on paper, and a way to smuggle headers.
_LOCAL_PART: Final = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
_HOST_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.ASCII)
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
_FCM_TOKEN: Final = re.compile(r"[\w:.-]+", re.ASCII)
# Apple asks not to count on the length; it has been 32 bytes, and may grow to 100.
_APNS_TOKEN: Final = re.compile(r"([0-9a-f]{2}){16,200}", re.ASCII)
_P256DH_BYTES: Final = 65
_AUTH_BYTES: Final = 16


def normal_address(kind: DeviceKind, address: str, *, allow_loopback: bool) -> str:
    """The address in the one spelling that it is stored in.

    Raises:
        InvalidArgument: it cannot be an address of this kind, or leads where notifications must not go.
    """
    require_length("address", address, 1, limits.DEVICE_ADDRESS_LENGTH)
    match kind:
        case DeviceKind.WEB_PUSH | DeviceKind.WEBHOOK:
            require_url("address", address, allow_loopback=allow_loopback)
        case DeviceKind.FCM:
            if not _FCM_TOKEN.fullmatch(address):
                raise invalid("address: is not a registration token of Firebase Cloud Messaging")
        case DeviceKind.APNS:
            address = address.lower()
            if not _APNS_TOKEN.fullmatch(address):
                raise invalid("address: a device token of APNs has 32 to 400 hex digits, two for each byte")
        case DeviceKind.EMAIL:
            return _normal_mail_address(address)
        case DeviceKind.LOG:
            pass
    return address


def normal_keys(keys: WebPushKeys) -> WebPushKeys:
    """The keys without padding.

    Raises:
        InvalidArgument: one of them is not base64url, has the wrong length, or is no point on the curve.
    """
    point = _decoded("web_push_keys.p256dh", keys.p256dh, _P256DH_BYTES)
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError as error:
        raise invalid("web_push_keys.p256dh: is no uncompressed point on P-256") from error
    auth = _decoded("web_push_keys.auth", keys.auth, _AUTH_BYTES)
    return WebPushKeys(p256dh=_encoded(point), auth=_encoded(auth))


def require_url(field: str, url: str, *, allow_loopback: bool) -> None:
    """Raises `InvalidArgument` unless it is a URL that users may have requests sent to.

    That is https, with a host name or a public IP address, and without a login or a fragment.
    `allow_loopback` lets this machine pass as well, there also by plain http.
    """
    if not (url.isascii() and url.isprintable()) or set(url) & set(' "<>\\^`{|}'):
        raise invalid(f"{field}: is not a URL: it must be ASCII, with everything else percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise invalid(f"{field}: is not a URL") from error
    if "@" in parts.netloc:
        raise invalid(f"{field}: must not hold a user name or password")
    if port == 0 or "#" in url:
        raise invalid(f"{field}: must have no port 0 and no fragment")
    local = _leads_to_this_machine(field, parts)
    if local and not allow_loopback:
        raise invalid(f"{field}: leads to this machine")
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise invalid(f"{field}: must begin with https://")


def _leads_to_this_machine(field: str, parts: SplitResult) -> bool:
    host = (parts.hostname or "").removesuffix(".")
    try:
        address = ip_address(host)
    except ValueError:
        if not _is_host_name(host):
            raise invalid(f"{field}: names no host") from None
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761, 6.3
    if is_loopback(address):
        return True
    if not is_public(address):
        raise invalid(f"{field}: leads to an address that is not on the public internet")
    return False


def _normal_mail_address(address: str) -> str:
    local_part, _, domain = address.rpartition("@")
    too_long = len(local_part) > _MAX_LOCAL_PART or len(address) > _MAX_MAIL
    if too_long or not _LOCAL_PART.fullmatch(local_part):
        raise invalid("address: is not a mail address such as ada@example.com")
    try:
        # Names beyond ASCII become what DNS has of them (RFC 5890): senders of mail need not know of them.
        host = idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError as error:  # what idna raises is one
        raise invalid("address: what follows the @ is no host name") from error
    normal = f"{local_part}@{host}"
    if not _is_host_name(host) or len(normal) > _MAX_MAIL:
        raise invalid("address: what follows the @ is no host name")
    return normal


def _is_host_name(host: str) -> bool:
    # What ends in a number is an IPv4 address to resolvers, in one of its many spellings.
    return bool(_HOST_NAME.fullmatch(host)) and not _NUMBER.fullmatch(host.rpartition(".")[2])


def _decoded(field: str, text: str, length: int) -> bytes:
    try:
        unpadded = text.rstrip("=").encode("ascii")
        data = base64.b64decode(unpadded + b"=" * (-len(unpadded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"{field}: is not base64url") from error
    if len(data) != length:
        raise invalid(f"{field}: must have {length} bytes, has {len(data)}")
    return data


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
