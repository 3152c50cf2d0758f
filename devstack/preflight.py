"""What can be known to be wrong before anything is installed or started."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from devstack.errors import GivenServerError, SettingsError
from devstack.paths import ROOT
from devstack.settings import BACKINGS
from mesh.urls import parse_hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.settings import Backing, RunSettings
    from mesh.urls import Address

_CONNECT_SECONDS = 3.0
#: Where a URL without a port leads.
_DEFAULT_PORTS = {"redis": 6379, "amqp": 5672, "amqps": 5671, "mongodb": 27017}


def check_settings(env: Mapping[str, str]) -> list[str]:
    """Have the services' own classes read the settings; gives warnings, such as of variables nobody reads.

    Raises:
        SettingsError: a service would refuse them; the message names each variable at fault.
    """
    done = subprocess.run(
        [sys.executable, "-m", "admin", "check", "--settings-only"],
        cwd=ROOT,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SettingsError(f"the services would refuse their settings:\n{done.stderr}{done.stdout}".rstrip())
    return done.stderr.splitlines()


def require_given_servers(settings: RunSettings) -> None:
    """Check that something listens where the URLs of the user's own servers lead.

    Raises:
        GivenServerError: nothing does; the message names each variable at fault, and no URL whole.
    """
    given = [backing for backing in BACKINGS if backing.kind in settings.given_urls]
    problems = [
        f"{backing.url_variable}: {problem}"
        for backing in given
        if (problem := _problem(backing, settings.given_urls[backing.kind])) is not None
    ]
    if problems:
        raise GivenServerError("\n  ".join(["your servers do not answer:", *problems]))


def _problem(backing: Backing, url: str) -> str | None:
    parts = parse_hosts(url)
    if parts.scheme == "mongodb+srv":  # its hosts are in the DNS
        return None
    default = _DEFAULT_PORTS.get(parts.scheme, _DEFAULT_PORTS.get(backing.kind, 0))
    refusals = []
    for address in parts.addresses(default):
        refusal = _refusal(address)
        if refusal is None:
            return None
        refusals.append(f"{address}: {refusal}")
    return "; ".join(refusals)


def _refusal(address: Address) -> str | None:
    try:
        socket.create_connection(address, timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
