"""What `make run` prints once everything is ready."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from devstack.environment import DEMO_USERS, user_token
from devstack.paths import ROOT
from devstack.settings import SERVICES
from devstack.system import LOG_DIR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.settings import RunSettings


def banner(settings: RunSettings, env: Mapping[str, str]) -> str:
    """Addresses, tokens, logs, and a line to paste."""
    services = {service.name: service for service in SERVICES}
    host = settings.reachable_host
    edge = f"{host}:{settings.port(services['edge'].port)}"
    logs = os.path.relpath(LOG_DIR, ROOT)
    lines = [
        "",
        "Parley is running.",
        "",
        f"  WebSocket  ws://{edge}/ws",
        f"  REST       http://{edge}/api/v1",
    ]
    for name in ("chat", "persist", "notify"):
        package = f"parley.{name}.v1.{name.capitalize()}Service"
        lines.append(f"  gRPC       {host}:{settings.port(services[name].port)}  {package}")
    lines += [
        "             a call needs a service token, good for a minute:",
        "             .venv/bin/python -m devstack.service_token chat",
        "",
        *_tokens(env),
        f"  Logs       {logs}/<name>.log: {', '.join(services)}, redis, rabbitmq, mongo",
        "",
        "Send a first message (in another terminal, from this folder):",
        "",
        f"  {_first_message(edge)}",
        "",
        "Ctrl-C here, or `make stop` anywhere, ends everything; the data stay in .run/.",
        "",
    ]
    return "\n".join(lines)


def _tokens(env: Mapping[str, str]) -> list[str]:
    tokens = [(user_id, user_token(user_id, name, env)) for user_id, name in DEMO_USERS.items()]
    if any(token is None for _, token in tokens):
        return ["  Tokens     yours: this system trusts your key, so it made none", ""]
    lines = [f"  {user_id:<9}  {token}" for user_id, token in tokens]
    return ["Tokens of two demo users, valid for 24 hours:", "", *lines, ""]


def _first_message(edge: str) -> str:
    return f".venv/bin/python -m parley_client chat --as alice --to bob --url ws://{edge}/ws"
