"""The command line: `python -m admin <command>`."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from pymongo.errors import PyMongoError

from admin import (
    backup,
    check,
    dead_letters,
    explain,
    ledger,
    migrate,
    restore,
    restore_drill,
    revoke,
    sessions,
    stats,
)
from admin.command import NOT_DONE, CommandError
from admin.mongo import in_words
from admin.output import note
from mesh.errors import ParleyError
from mesh.logs import configure_logs

COMMANDS: Final = (
    check.COMMAND,
    migrate.COMMAND,
    stats.COMMAND,
    dead_letters.COMMAND,
    sessions.COMMAND,
    revoke.COMMAND,
    ledger.COMMAND,
    explain.COMMAND,
    backup.COMMAND,
    restore.COMMAND,
    restore_drill.COMMAND,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code is described in `admin.command`."""
    options = _parse(arguments)
    run: Callable[[argparse.Namespace], Coroutine[Any, Any, int]] = options.run
    try:
        return asyncio.run(run(options))
    except (CommandError, ParleyError, OSError) as error:
        note(str(error))
    except KeyboardInterrupt:
        note("interrupted")
    except PyMongoError as error:
        note(f"mongodb: {in_words(error)}")
    return NOT_DONE


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m admin",
        description="Parley for its operator. Reads the variables that the services read.",
        epilog="Exit codes: 0 done; 1 not done, not found or not well; 2 wrong usage; 78 unusable settings.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for command in COMMANDS:
        added = commands.add_parser(command.name, help=command.help, description=command.help)
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    configure_logs("admin", "WARNING", "console")
    sys.exit(main())
