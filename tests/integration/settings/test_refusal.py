"""Each process refuses to start with settings that are not usable: all problems at once, exit code 78."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
SECONDS: Final = 45
GOOD: Final = {
    "PARLEY_SERVICE_SECRET": "s" * 32,
    "PARLEY_REDIS_URL": "redis://127.0.0.1:1/0",
    "PARLEY_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/",
    "PARLEY_MONGO_URL": "mongodb://127.0.0.1:1",
    "PARLEY_JWT_SECRET": "j" * 32,
    **{
        f"PARLEY_{area}_{kind}": "0"
        for area in ("EDGE", "CHAT", "PERSIST", "NOTIFY")
        for kind in ("PORT", "ADMIN_PORT")
    },
}
NOT_SET: Final = "is not set"


def ended(module: str, changes: Mapping[str, str | None]) -> tuple[int, str]:
    """How the process ends with the good settings and these changes; None takes one away."""
    settings = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-m", module],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return done.returncode, done.stderr


# Module, what is changed, and a part of what is told about each variable.
CASES: Final[list[tuple[str, dict[str, str | None], dict[str, str]]]] = [
    (
        "edge",
        {
            "PARLEY_SERVICE_SECRET": None,
            "PARLEY_REDIS_URL": "http://:hunter2@redis",
            "PARLEY_CHAT_TARGET": "hunter2 chat",
            "PARLEY_JWT_SECRET": "hunter2",
            "PARLEY_JWT_PUBLIC_KEY_FILE": "/nowhere/key.pem",
            "PARLEY_EDGE_PORT": "8080",
            "PARLEY_EDGE_ADMIN_PORT": "8080",
            "PARLEY_EDGE_TRUSTED_PROXIES": "everywhere",
        },
        {
            "PARLEY_SERVICE_SECRET": NOT_SET,
            "PARLEY_REDIS_URL": "must start with redis://",
            "PARLEY_CHAT_TARGET": "must be a gRPC target",
            "PARLEY_JWT_SECRET": "at least 32 bytes",
            "PARLEY_JWT_PUBLIC_KEY_FILE": "cannot be read",
            "PARLEY_JWT_JWKS_URL": "exactly one of",
            "PARLEY_EDGE_ADMIN_PORT": "is the same as PARLEY_EDGE_PORT",
            "PARLEY_EDGE_TRUSTED_PROXIES": "does not appear to be",
        },
    ),
    (
        "chat_service",
        {
            "PARLEY_SERVICE_SECRET": "hunter2",
            "PARLEY_REDIS_URL": None,
            "PARLEY_AMQP_URL": "redis://guest:hunter2@rabbitmq/",
            "PARLEY_CHAT_PORT": "9151",
            "PARLEY_CHAT_ADMIN_PORT": None,
            "PARLEY_TLS_CERT_FILE": "/nowhere/tls.crt",
        },
        {
            "PARLEY_SERVICE_SECRET": "at least 32 bytes",
            "PARLEY_REDIS_URL": NOT_SET,
            "PARLEY_AMQP_URL": "must start with amqp://",
            "PARLEY_CHAT_ADMIN_PORT": "is the same as PARLEY_CHAT_PORT",
            "PARLEY_TLS_CA_FILE": "goes together with",
        },
    ),
    (
        "persist_service",
        {
            "PARLEY_MONGO_URL": "mongodb://",
            "PARLEY_AMQP_URL": None,
            "PARLEY_PERSIST_DATABASE": "a/b",
            "PARLEY_PERSIST_PORT": "70000",
            "PARLEY_RPC_CONCURRENCY": "none",
        },
        {
            "PARLEY_MONGO_URL": "names no host",
            "PARLEY_AMQP_URL": NOT_SET,
            "PARLEY_PERSIST_DATABASE": "",
            "PARLEY_PERSIST_PORT": "",
            "PARLEY_RPC_CONCURRENCY": "",
        },
    ),
    (
        "notify_service",
        {
            "PARLEY_MONGO_URL": None,
            "PARLEY_NOTIFY_APNS_KEY_ID": "KEY",
            "PARLEY_NOTIFY_SMTP_HOST": "mail.example",
            "PARLEY_NOTIFY_DELAY_SECONDS": "9",
            "PARLEY_NOTIFY_FCM_CREDENTIALS_FILE": "/nowhere/account.json",
            "PARLEY_NOTIFY_VAPID_KEY_FILE": "/nowhere/vapid.pem",
            "PARLEY_NOTIFY_CA_FILE": "/nowhere/ca.pem",
        },
        {
            "PARLEY_MONGO_URL": NOT_SET,
            "PARLEY_NOTIFY_APNS_TOPIC": "APNs needs PARLEY_NOTIFY_APNS_KEY_FILE, PARLEY_NOTIFY_APNS_TEAM_ID",
            "PARLEY_NOTIFY_SMTP_FROM": "e-mail needs PARLEY_NOTIFY_SMTP_FROM as well",
            "PARLEY_NOTIFY_DELAY_MAX_SECONDS": "is shorter than PARLEY_NOTIFY_DELAY_SECONDS",
            "PARLEY_NOTIFY_FCM_CREDENTIALS_FILE": "cannot be read",
            "PARLEY_NOTIFY_VAPID_KEY_FILE": "cannot be read",
            "PARLEY_NOTIFY_CA_FILE": "cannot be read",
        },
    ),
]


@pytest.mark.parametrize(("module", "changes", "told"), CASES, ids=[case[0] for case in CASES])
def test_all_problems_are_told_and_no_value(
    module: str, changes: dict[str, str | None], told: dict[str, str]
) -> None:
    code, err = ended(module, changes)
    assert code == 78, err
    found = dict(line.strip().split(": ", 1) for line in err.splitlines()[1:])
    assert found.keys() == told.keys()
    for variable, part in told.items():
        assert part in found[variable], variable
    assert "hunter2" not in err


@pytest.mark.parametrize(
    ("module", "variable"),
    [
        ("edge", "PARLEY_EDGE_PORT"),
        ("edge", "PARLEY_EDGE_ADMIN_PORT"),
        ("chat_service", "PARLEY_CHAT_PORT"),
        ("persist_service", "PARLEY_PERSIST_PORT"),
        ("notify_service", "PARLEY_NOTIFY_ADMIN_PORT"),
    ],
)
def test_a_port_that_is_taken_ends_the_process(module: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, err = ended(module, {variable: str(taken.getsockname()[1])})
    assert code == 78, err
    assert "service.bind_failed" in err
    assert variable in err
