"""`python -m devstack.service_token chat`: a token to call a running service's gRPC by hand.

The services of `make run` take calls of one another and of back ends that hold their secret; this makes the
token that such a caller would send, good for a minute, in the metadata `authorization: Bearer <token>`.
"""

from __future__ import annotations

import argparse
import os

from devstack.keys import load_or_create_keys
from devstack.paths import RUN_DIR
from mesh.rpc.auth import TOKEN_SECONDS, TokenIssuer

#: As whom one calls, by callee: as a back end would, but persist takes calls of the mesh and operators.
CALLERS = {"chat": "devstack", "persist": "admin", "notify": "devstack"}


def main() -> None:
    """Print a token for the service that the command line names."""
    parser = argparse.ArgumentParser(
        prog="devstack.service_token", description=f"A service token, good for {TOKEN_SECONDS} s."
    )
    parser.add_argument("callee", choices=tuple(CALLERS), help="the service to be called")
    parser.add_argument(
        "--as",
        dest="caller",
        help="who calls: a back end of yours by a name of your choice, or a part of the mesh. "
        "Default: `devstack`; for persist, which takes no calls of back ends, `admin`",
    )
    arguments = parser.parse_args()
    secret = (
        os.environ.get("PARLEY_SERVICE_SECRET")
        or load_or_create_keys(RUN_DIR / "secrets")["PARLEY_SERVICE_SECRET"]
    )
    print(TokenIssuer(secret, arguments.caller or CALLERS[arguments.callee], arguments.callee).token())


if __name__ == "__main__":
    main()
