"""The parts of `make run`: settings, secrets, the lock, the environment of the services."""

from __future__ import annotations

import ast
import re
import shlex
import socket
import stat
import subprocess
import sys
from pathlib import Path

import jwt
import pytest

from devstack import ports
from devstack.environment import as_shell, service_environment, user_token
from devstack.errors import DevstackError, PortBusyError, SettingsError
from devstack.keys import VARIABLES, load_or_create_keys
from devstack.lock import is_locked, run_lock, running_pid
from devstack.paths import ROOT, run_dir
from devstack.ports import free_port, is_free, require_free
from devstack.settings import BACKINGS, SERVICES, read_settings

KEYS = {"PARLEY_SERVICE_SECRET": "s" * 48, "PARLEY_JWT_SECRET": "j" * 48}
URLS = {"redis": "redis://r", "rabbitmq": "amqp://a", "mongo": "mongodb://m"}


def test_every_bad_port_is_listed_with_its_variable() -> None:
    environ = {"PARLEY_EDGE_PORT": "http", "PARLEY_CHAT_PORT": "70000", "PARLEY_NOTIFY_PORT": "50052"}
    with pytest.raises(SettingsError) as caught:
        read_settings(environ)
    message = str(caught.value)
    assert "PARLEY_EDGE_PORT: 'http' is not a port" in message
    assert "PARLEY_CHAT_PORT: '70000' is not a port" in message
    assert "PARLEY_NOTIFY_PORT: 50052 is the port of PARLEY_PERSIST_PORT too" in message
    assert caught.value.exit_code == 78


def test_one_switch_moves_every_port_that_is_not_set_itself() -> None:
    defaults = read_settings({}).ports
    moved = read_settings({"PARLEY_DEVSTACK_PORTS": "+10000", "PARLEY_EDGE_PORT": "8081"}).ports
    assert moved == {name: port + 10_000 for name, port in defaults.items()} | {"PARLEY_EDGE_PORT": 8081}


def test_a_second_system_has_a_place_of_its_own() -> None:
    first, second = run_dir({}), run_dir({"PARLEY_DEVSTACK_PORTS": "+10000"})
    assert (first, second) == (ROOT / ".run", ROOT / ".run" / "+10000")
    assert run_dir({"PARLEY_DEVSTACK_PORTS": "+10000", "PARLEY_DEVSTACK_DIR": "/a/b"}) == Path("/a/b")


@pytest.mark.parametrize(
    ("text", "problem"),
    [("10000", "'10000' is not like"), ("+1e4", "is not like"), ("+20000", "PARLEY_CHAT_PORT to 70051")],
)
def test_a_switch_that_moves_no_port_is_refused(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=r"PARLEY_DEVSTACK_PORTS: .*" + re.escape(problem)):
        read_settings({"PARLEY_DEVSTACK_PORTS": text})


def test_port_zero_takes_a_free_port() -> None:
    settings = read_settings({"PARLEY_EDGE_PORT": "0"})
    assert is_free(settings.ports["PARLEY_EDGE_PORT"])


def test_a_port_is_given_to_one_process_as_long_as_that_lives() -> None:
    """Also while nobody listens there: its server may be stopped, and want it back."""
    mine = free_port()
    script = (
        f"from devstack import ports; print(ports.free_port(), ports._reserve({mine}), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs, may_have_mine = other.stdout.readline().split()
        assert may_have_mine == "False"
        assert not ports._reserve(int(theirs))
        other.communicate("\n")
    assert ports._reserve(int(theirs))


def test_a_given_server_needs_no_port() -> None:
    settings = read_settings(
        {"PARLEY_REDIS_URL": "redis://elsewhere", "PARLEY_DEVSTACK_REDIS_PORT": "ignored"}
    )
    assert settings.given_urls == {"redis": "redis://elsewhere"}
    assert "PARLEY_DEVSTACK_REDIS_PORT" not in settings.ports


def test_a_busy_port_is_named_with_what_needs_it_and_the_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = f"port {port}, needed for WebSocket and REST, is in use.*PARLEY_EDGE_PORT"
        with pytest.raises(PortBusyError, match=message):
            require_free(port, what="WebSocket and REST", variable="PARLEY_EDGE_PORT")


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(PortBusyError, match=r"edge cannot listen on 192\.0\.2\.1"):  # RFC 5737: nobody's
        require_free(free_port(), what="edge", host="192.0.2.1")


def test_secrets_are_private_and_stay_the_same(tmp_path: Path) -> None:
    path = tmp_path / "run" / "secrets"
    keys = load_or_create_keys(path)
    assert set(keys) == set(VARIABLES)
    assert all(len(value) >= 32 for value in keys.values())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    path.chmod(0o644)
    assert load_or_create_keys(path) == keys
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_missing_secret_is_made_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_text("PARLEY_JWT_SECRET=mine-and-long-enough-to-sign-with\n", encoding="utf-8")
    keys = load_or_create_keys(path)
    assert keys["PARLEY_JWT_SECRET"] == "mine-and-long-enough-to-sign-with"
    assert keys["PARLEY_SERVICE_SECRET"]
    assert load_or_create_keys(path) == keys


def test_one_run_at_a_time(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "run.lock"
    assert not is_locked(path)
    with run_lock(path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
        assert is_locked(path)
        with pytest.raises(DevstackError), run_lock(path):
            pass
    assert not is_locked(path)
    assert running_pid(path) is None


def test_services_get_every_address_and_the_users_own_values_win() -> None:
    environ = {
        "PARLEY_LOG_LEVEL": "DEBUG",
        "PARLEY_LOG_FORMAT": "json",
        "PARLEY_DEVSTACK_REDIS_PORT": "16379",
    }
    settings = read_settings(environ)
    env = service_environment(environ, settings, URLS, KEYS)

    assert env["PARLEY_ENV"] == "development"
    assert env["PARLEY_LOG_LEVEL"] == "DEBUG"
    assert env["PARLEY_LOG_FORMAT"] == "json"
    assert env["PARLEY_CHAT_TARGET"] == "dns:///127.0.0.1:50051"
    assert env["PARLEY_EDGE_PORT"] == "8080"
    assert {env[backing.url_variable] for backing in BACKINGS} == set(URLS.values())
    assert {service.port.variable for service in SERVICES} <= set(env)
    assert not [name for name in env if name.startswith("PARLEY_DEVSTACK_")]


def test_a_shell_reads_what_the_services_are_told() -> None:
    urls = {**URLS, "mongo": "mongodb://a,b/?replicaSet=rs0&w='majority'"}
    env = service_environment({"NOT_OURS": "1"}, read_settings({}), urls, KEYS)
    script = (
        f"set -a\n{as_shell(env)}exec {shlex.quote(sys.executable)} -c 'import os; print(dict(os.environ))'"
    )
    told = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, check=True).stdout
    ours = {name: value for name, value in env.items() if name.startswith("PARLEY_")}
    read = ast.literal_eval(told)
    assert {name: value for name, value in read.items() if name.startswith("PARLEY_")} == ours
    assert "NOT_OURS" not in read


def test_a_service_on_every_interface_is_reached_by_loopback() -> None:
    environ = {"PARLEY_BIND_HOST": "::"}
    env = service_environment(environ, read_settings(environ), URLS, KEYS)
    assert env["PARLEY_BIND_HOST"] == "::"
    assert env["PARLEY_PERSIST_TARGET"] == "dns:///[::1]:50052"


def test_demo_tokens_have_the_claims_that_the_services_check() -> None:
    env = service_environment({}, read_settings({}), URLS, KEYS)
    token = user_token("alice", "Alice", env)
    assert token is not None
    claims = jwt.decode(
        token, KEYS["PARLEY_JWT_SECRET"], algorithms=["HS256"], audience="parley", issuer="parley-dev"
    )
    assert (claims["sub"], claims["name"]) == ("alice", "Alice")
    assert claims["exp"] - claims["iat"] == 24 * 60 * 60


def test_no_demo_tokens_when_the_user_brings_a_key() -> None:
    environ = {"PARLEY_JWT_JWKS_URL": "https://id.example/jwks"}
    env = service_environment(environ, read_settings(environ), URLS, KEYS)
    assert "PARLEY_JWT_SECRET" not in env
    assert user_token("alice", "Alice", env) is None
