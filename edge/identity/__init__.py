"""Who is calling: user tokens (JSON Web Tokens, RFC 7519) and the keys that prove them."""

from edge.identity.extraction import SUBPROTOCOL_PREFIX, bearer_of, extract_token
from edge.identity.factory import open_verifier
from edge.identity.port import OPERATOR_SCOPE, Identity, TokenVerifier
from edge.identity.settings import IdentitySettings

__all__ = [
    "OPERATOR_SCOPE",
    "SUBPROTOCOL_PREFIX",
    "Identity",
    "IdentitySettings",
    "TokenVerifier",
    "bearer_of",
    "extract_token",
    "open_verifier",
]
