"""`python -m devstack install | run | stop`: what `make setup`, `make run` and `make stop` call."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from devstack.errors import DevstackError
from devstack.install import install
from devstack.run import run
from devstack.stop import stop

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> int:
    """Run one command; the exit code says how it went."""
    commands: dict[str, tuple[Callable[[], None], str]] = {
        "install": (install, "install the backing servers that are missing"),
        "run": (run, "start everything and look after it until Ctrl-C"),
        "stop": (stop, "end a `run` from another terminal"),
    }
    parser = argparse.ArgumentParser(prog="devstack", description="Backing servers, and the whole system.")
    choices = parser.add_subparsers(dest="command", required=True)
    for name, (_, summary) in commands.items():
        choices.add_parser(name, help=summary, description=summary)
    name = parser.parse_args().command
    try:
        commands[name][0]()
    except DevstackError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as shells report it
    return 0


if __name__ == "__main__":
    sys.exit(main())
