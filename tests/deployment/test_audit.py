"""The dependency audit: red for a known vulnerability, never for a service that is away."""

import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from devstack.ports import free_port

SCRIPT = Path(__file__).parents[2] / ".ci" / "audit.py"
FOUND = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1"],
    "summary": "it is broken",
    "affected": [
        {
            "package": {"name": "tornado", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.0"}]}],
        }
    ],
}
Answer = Callable[[str], tuple[int, Any]]


LOCK = f"tornado==6.0 --hash=sha256:{'0' * 64}\nredis==1.0 --hash=sha256:{'0' * 64}\n"


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, for a lock of two packages."""
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "tornado==" in module._LOCK.read_text(), "what it looks at is the lock of the services"
    monkeypatch.setattr(module, "_LOCK", tmp_path / "requirements.lock")
    module._LOCK.write_text(LOCK)
    return module


@pytest.fixture
def service() -> Iterator[Callable[[Answer], list[str]]]:
    """A local service that speaks the protocol of https://osv.dev; gives the arguments that name it."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> list[str]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = answer(asked["package"]["name"])
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return ["-s", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}/v1/query"]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_known_vulnerability_is_red_unless_there_is_a_reason(
    audit: ModuleType,
    service: Callable[[Answer], list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = service(lambda name: (200, {"vulns": [FOUND]} if name == "tornado" else {}))
    assert audit.main(arguments) == 1
    told = capsys.readouterr().out
    assert "tornado" in told
    assert "PYSEC-2026-1, fixed in 999.0" in told
    monkeypatch.setitem(audit.IGNORED, "CVE-2026-1", "a reason")
    assert audit.main(arguments) == 0


def test_nothing_known_is_green(
    audit: ModuleType, service: Callable[[Answer], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(service(lambda _: (200, {}))) == 0
    assert "no known vulnerability" in capsys.readouterr().out


def test_a_service_that_is_away_is_told_and_green(
    audit: ModuleType, service: Callable[[Answer], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    away = ["-s", "osv", "--osv-url", f"http://127.0.0.1:{free_port()}/v1/query"]
    for arguments in (away, service(lambda _: (503, {}))):
        assert audit.main(arguments) == 0
        assert "not done" in capsys.readouterr().out


def test_a_lock_that_cannot_be_read_is_red(audit: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    audit._LOCK.write_text("tornado>=1\n")
    assert audit.main(["--timeout", "1"]) == 1
    assert "failed" in capsys.readouterr().out


def test_every_exception_has_its_reason(audit: ModuleType) -> None:
    assert all(reason.strip() for reason in audit.IGNORED.values())
