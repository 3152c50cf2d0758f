"""The token that `devstack.service_token` prints is good for what the banner of `make run` lists."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from devstack.service_token import CALLERS
from mesh.rpc.access import ANYBODY, callers_of
from mesh.rpc.auth import TokenVerifier

ROOT: Final = Path(__file__).parents[3]
SECRET: Final = "s" * 32


def _caller(callee: str, *options: str) -> str:
    printed = subprocess.run(
        [sys.executable, "-m", "devstack.service_token", callee, *options],
        cwd=ROOT,
        env={**os.environ, "PARLEY_SERVICE_SECRET": SECRET},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return TokenVerifier(SECRET, callee).caller(printed.stdout.strip())


@pytest.mark.parametrize(
    ("callee", "method"), [("chat", "GetChat"), ("persist", "RebuildHeads"), ("notify", "ListLedger")]
)
def test_it_may_call_the_service_that_it_is_for(callee: str, method: str) -> None:
    allowed = callers_of(f"parley.{callee}.v1.{callee.capitalize()}Service", method)
    assert allowed is not None
    assert _caller(callee) in allowed or allowed is ANYBODY


def test_it_is_for_every_service_of_the_banner() -> None:
    assert set(CALLERS) == {"chat", "persist", "notify"}


def test_it_is_made_for_whom_one_likes() -> None:
    assert _caller("chat", "--as", "edge") == "edge"
