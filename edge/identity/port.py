"""Who a client is, and what proves it."""

from dataclasses import dataclass
from typing import Final, Protocol

OPERATOR_SCOPE: Final = "parley.operator"
"""The scope of those who run Parley: it opens ``/api/v1/admin``."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user whose token was checked.

    ``user_id`` is the token's ``sub`` (`contract.user_ids`), ``name`` its ``name`` claim as it may be shown,
    or empty (`contract.names`). ``expires_at`` is its ``exp`` in Unix seconds: after that (plus the leeway
    of the verifier) the proof is worth nothing, also on a connection that is already open.
    ``issued_at_ms`` is its ``iat`` in Unix milliseconds, 0 when it has none. ``scopes`` are the words of its
    ``scope`` claim (RFC 8693 section 4.2); a user needs none.
    """

    user_id: str
    name: str
    expires_at: int
    issued_at_ms: int = 0
    scopes: frozenset[str] = frozenset()


class TokenVerifier(Protocol):
    """Checks user tokens."""

    async def verify(self, token: str) -> Identity:
        """Whose token this is. Returning promises that signature, issuer, audience and times are good now.

        Any text may be given. Waits for the network only when keys must be fetched first (bounded, seconds).

        Raises:
            Unauthenticated: ``TOKEN_EXPIRED``, rightly signed but its time is over; else ``INVALID_TOKEN``.
            Unavailable: the keys could not be fetched, so nothing is known about the token.
        """
        ...
