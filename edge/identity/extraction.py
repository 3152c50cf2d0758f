"""Where a request carries its token."""

from collections.abc import Iterable
from typing import Final

from mesh.errors import Unauthenticated
from parley.common.v1.error_pb2 import ErrorReason

SUBPROTOCOL_PREFIX: Final = "bearer."
_SCHEME: Final = "bearer"


def extract_token(
    *, authorization: str | None, query: str | None = None, subprotocols: Iterable[str] = ()
) -> str:
    """The token of a request, not yet checked.

    ``authorization`` is the value of that header (RFC 6750 section 2.1), ``subprotocols`` what the client
    offered in ``Sec-WebSocket-Protocol`` (browsers can set no other header on a WebSocket), ``query`` the
    value of ``?token=``. The first of them that is there counts, in this order: from the place that leaks
    least to the one that ends in access logs. A scheme other than Bearer was meant for some proxy.

    Raises:
        Unauthenticated: ``INVALID_TOKEN``, the request carries none.
    """
    if credentials := bearer_of(authorization):
        return credentials
    for subprotocol in subprotocols:
        if subprotocol.startswith(SUBPROTOCOL_PREFIX):
            return subprotocol.removeprefix(SUBPROTOCOL_PREFIX)
    if query:
        return query
    raise Unauthenticated(ErrorReason.ERROR_REASON_INVALID_TOKEN, "the request carries no token")


def bearer_of(authorization: str | None) -> str:
    """The token in that header; empty when it holds none."""
    scheme, _, credentials = (authorization or "").strip().partition(" ")
    return credentials.strip() if scheme.lower() == _SCHEME else ""
