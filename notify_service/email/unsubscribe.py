"""The unsubscribe link of a mail: its token, and what following it does to that user's mails."""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from contract.user_ids import is_user_id
from mesh.errors import InvalidArgument
from mesh.logs import get_logger
from notify_service.domain.limits import invalid
from notify_service.ports import PreferenceStore

_log = get_logger()

# A key of its own for this purpose, so that no signature made elsewhere with the services' secret fits here.
_PURPOSE: Final = b"parley.notify.v1 unsubscribe"
_MAC_BYTES: Final = 32
MAX_TOKEN: Final = 1024
"""Characters. A user's id of 128 characters makes at most 728."""


class UnsubscribeTokens:
    """Makes and reads the tokens. They do not expire: the link in an old mail has to work."""

    def __init__(self, service_secret: str) -> None:
        self._key = hmac.digest(service_secret.encode(), _PURPOSE, hashlib.sha256)

    def token(self, user_id: str) -> str:
        """The token for a user, fit for a URL. The same for every mail."""
        user = user_id.encode()
        return f"{_encode(user)}.{_encode(self._mac(user))}"

    def user_id(self, token: str) -> str:
        """Whose token it is.

        Raises:
            InvalidArgument: it was not made here, or with another secret.
        """
        if len(token) > MAX_TOKEN:
            raise _refused()
        user, _, mac = token.partition(".")
        try:
            user_bytes, mac_bytes = _decode(user), _decode(mac)
            user_id = user_bytes.decode()
        except (binascii.Error, ValueError) as error:
            raise _refused() from error
        good = hmac.compare_digest(mac_bytes, self._mac(user_bytes))
        if not good or not is_user_id(user_id):
            raise _refused()
        return user_id

    def _mac(self, user: bytes) -> bytes:
        return hmac.digest(self._key, user, hashlib.sha256)


class Unsubscribe:
    """Needs no login: the token from the mail is the proof."""

    def __init__(self, tokens: UnsubscribeTokens, preferences: PreferenceStore) -> None:
        self._tokens = tokens
        self._preferences = preferences

    async def __call__(self, token: str) -> None:
        """Switches the digest of the token's user off. Idempotent.

        Raises:
            InvalidArgument: the token was not made here.
            Unavailable: MongoDB cannot be reached.
        """
        user_id = self._tokens.user_id(token)
        await self._preferences.end_emails(user_id)
        _log.info("email.unsubscribed", user_id=user_id)


def _refused() -> InvalidArgument:
    return invalid("token: is not from an unsubscribe link of this deployment")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _encode(data) != text:
        raise ValueError("not the one way to write these bytes")
    return data
