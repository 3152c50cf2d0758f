"""Who is calling: user tokens (JSON Web Tokens, RFC 7519) and the keys that prove them."""

from edge.identity.extraction import extract_token
from edge.identity.port import Identity, TokenVerifier

__all__ = ["Identity", "TokenVerifier", "extract_token"]
