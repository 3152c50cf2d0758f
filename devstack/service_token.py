"""`python -m devstack.service_token chat`: a token to call a running service's gRPC by hand.

The services of `make run` take calls of one another only; this makes the token that they would send, good for
a minute, in the metadata `authorization: Bearer <token>`.
"""

from __future__ import annotations

import argparse
import os

from devstack.keys import load_or_create_keys
from devstack.paths import RUN_DIR
from mesh.rpc.auth import TOKEN_SECONDS, TokenIssuer

_CALLEES = ("chat", "persist", "notify")


def main() -> None:
    """Print a token for the service that the command line names."""
    parser = argparse.ArgumentParser(
        prog="devstack.service_token", description=f"A service token, good for {TOKEN_SECONDS} s."
    )
    parser.add_argument("callee", choices=_CALLEES, help="the service to be called")
    callee = parser.parse_args().callee
    secret = (
        os.environ.get("PARLEY_SERVICE_SECRET")
        or load_or_create_keys(RUN_DIR / "secrets")["PARLEY_SERVICE_SECRET"]
    )
    print(TokenIssuer(secret, "devstack", callee).token())


if __name__ == "__main__":
    main()
