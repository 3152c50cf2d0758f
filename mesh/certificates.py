"""Until when the certificates of this process are valid."""

import math

from cryptography import x509

from mesh.logs import get_logger
from mesh.metrics import CERTIFICATE_EXPIRES

_log = get_logger()


def show_expiry(use: str, pem: bytes) -> None:
    """Shows the end of the first certificate in ``pem``, the process's own; ``use``: to whom it is shown.

    One that OpenSSL took and this cannot read stays in use: its end is not a number then.
    """
    try:
        end = x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    except ValueError as error:
        _log.warning("tls.end_unknown", use=use, error=str(error))
        end = math.nan
    CERTIFICATE_EXPIRES.labels(use).set(end)
