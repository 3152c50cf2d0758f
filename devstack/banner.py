"""What `make run` prints once everything is ready."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from devstack.environment import DEMO_USERS, user_token
from devstack.paths import ROOT, RUN_DIR, naming
from devstack.settings import SERVICES
from devstack.system import ENVIRONMENT, LOG_DIR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devstack.settings import RunSettings

#: Where the command-line client looks for a server by itself.
DEFAULT_EDGE = "127.0.0.1:8080"


def banner(settings: RunSettings, env: Mapping[str, str]) -> str:
    """Addresses, tokens, logs, and a line to paste."""
    services = {service.name: service for service in SERVICES}
    host = settings.reachable_host
    which = naming(os.environ)
    edge = f"{host}:{settings.port(services['edge'].port)}"
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
        f"             {which}.venv/bin/python -m devstack.service_token chat",
        "",
        *_tokens(env),
        f"  Logs       {_shown(LOG_DIR)}/<name>.log: {', '.join(services)}, redis, rabbitmq, mongo",
        "",
        "Send a first message (in another terminal, from this folder):",
        "",
        f"  {_client('send', 'alice', 'bob', edge, env)} 'Hello, Bob'",
        "",
        "and talk back as Bob:",
        "",
        f"  {_client('chat', 'bob', 'alice', edge, env)}",
        "",
        "As its operator, see docs/operations.md:",
        "",
        f"  (set -a; . {_shown(ENVIRONMENT)}; .venv/bin/python -m admin check)",
        "",
        f"Ctrl-C here, or `{which}make stop` anywhere, ends everything; the data stay in {_shown(RUN_DIR)}/.",
        "",
    ]
    return "\n".join(lines)


def _shown(path: Path) -> str:
    """As it is typed in this folder."""
    return shlex.quote(f"./{path.relative_to(ROOT)}" if path.is_relative_to(ROOT) else str(path))


def _tokens(env: Mapping[str, str]) -> list[str]:
    tokens = [(user_id, user_token(user_id, name, env)) for user_id, name in DEMO_USERS.items()]
    if any(token is None for _, token in tokens):
        return ["  Tokens     yours: this system trusts your key, so it made none", ""]
    lines = [f"  {user_id:<9}  {token}" for user_id, token in tokens]
    return ["Tokens of two demo users, valid for 24 hours:", "", *lines, ""]


def _client(command: str, user_id: str, other_id: str, edge: str, env: Mapping[str, str]) -> str:
    """A line for the command-line client, without the options that have the right default."""
    line = f".venv/bin/python -m parley_client {command} --as {user_id} --to {other_id}"
    if edge != DEFAULT_EDGE:
        line += f" --url http://{edge}"
    if user_token(user_id, user_id, env) is None:
        line += " --token <a token of yours>"
    return line
