"""The environment of the services, and the tokens of the demo users."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

import jwt

from devstack.settings import BACKINGS, SERVICES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.settings import RunSettings

DEMO_USERS = {"alice": "Alice", "bob": "Bob"}
TOKEN_SECONDS = 24 * 60 * 60

_OTHER_KEYS = ("PARLEY_JWT_PUBLIC_KEY_FILE", "PARLEY_JWT_JWKS_URL")


def service_environment(
    environ: Mapping[str, str], settings: RunSettings, urls: Mapping[str, str], keys: Mapping[str, str]
) -> dict[str, str]:
    """What every service gets: the user's own variables first, then what `make run` decides.

    `urls` holds the address of each kind of backing server, `keys` the generated secrets.
    """
    env = {name: value for name, value in environ.items() if not name.startswith("PARLEY_DEVSTACK_")}
    defaults = {
        "PARLEY_ENV": "development",
        "PARLEY_LOG_FORMAT": "console",
        "PARLEY_DRAIN_SECONDS": "5",  # nobody waits half a minute for Ctrl-C
        "PARLEY_SERVICE_SECRET": keys["PARLEY_SERVICE_SECRET"],
        "PARLEY_JWT_ISSUER": "parley-dev",
        "PARLEY_JWT_AUDIENCE": "parley",
    }
    if not any(environ.get(name) for name in _OTHER_KEYS):
        defaults["PARLEY_JWT_SECRET"] = keys["PARLEY_JWT_SECRET"]
    for service in SERVICES:
        if service.name != "edge":
            target = f"dns:///{settings.reachable_host}:{settings.port(service.port)}"
            defaults[f"PARLEY_{service.name.upper()}_TARGET"] = target
    for name, value in defaults.items():
        if not env.get(name):
            env[name] = value
    env |= {backing.url_variable: urls[backing.kind] for backing in BACKINGS}
    for service in SERVICES:
        for port in (service.port, service.admin_port):
            env[port.variable] = str(settings.port(port))
    env["PARLEY_BIND_HOST"] = settings.bind_host
    env["PYTHONUNBUFFERED"] = "1"
    return env


def as_shell(env: Mapping[str, str]) -> str:
    """What the services are told, in the form that a shell reads: `set -a; . .run/environment`."""
    ours = sorted(name for name in env if name.startswith("PARLEY_"))
    return "".join(f"{name}={shlex.quote(env[name])}\n" for name in ours)


def user_token(user_id: str, name: str, env: Mapping[str, str]) -> str | None:
    """A token for a demo user, valid for a day; None when the services do not trust a shared secret."""
    secret = env.get("PARLEY_JWT_SECRET")
    if not secret:
        return None
    now = int(time.time())
    claims = {
        "sub": user_id,
        "name": name,
        "iat": now,
        "exp": now + TOKEN_SECONDS,
        "iss": env["PARLEY_JWT_ISSUER"],
        "aud": env["PARLEY_JWT_AUDIENCE"],
    }
    return jwt.encode(claims, secret, algorithm="HS256")
