"""The command: `python -m mesh.dead_letters list|show|replay|drop`."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, Never

from mesh.amqp.topology import QUEUES
from mesh.dead_letters.bodies import as_json, readable
from mesh.dead_letters.box import DeadLetterBox, QueueMissingError, Selection, open_box
from mesh.dead_letters.letter import DeadLetter
from mesh.errors import Unavailable
from mesh.settings import AmqpUrl, EnvironmentSettings, load

_LIST_LIMIT: Final = 50
_NO_LIMIT: Final = sys.maxsize
_COLUMNS: Final = ("queue", "message id", "first failed at", "attempts", "bytes", "reason")


class DeadLetterSettings(EnvironmentSettings):
    """Read from the variables that the services use."""

    amqp_url: AmqpUrl


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; its exit code: 0 done, 1 nothing found or no broker, 2 wrong usage, 78 settings."""
    options = _parse(arguments)
    settings = load(DeadLetterSettings)
    try:
        return asyncio.run(_run(options, settings))
    except (Unavailable, QueueMissingError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


async def _run(options: argparse.Namespace, settings: DeadLetterSettings) -> int:
    queues: Sequence[str] = options.queue or QUEUES
    async with open_box(settings.amqp_url) as box:
        if options.command in {"replay", "drop"}:
            return await _move(box, queues, options)
        counts = {queue: await box.count(queue) for queue in queues}
        selection = _selection(options)
        letters = [letter for queue in queues for letter in await box.read(queue, selection)]
    if options.command == "list":
        _tell(options, _listed(counts, letters), lambda: _table(counts, letters))
    else:
        shown = [_shown(letter, with_body=options.body) for letter in letters]
        _tell(options, shown, lambda: "\n\n".join(map(_block, shown)))
    return 0 if letters or not options.id else 1


async def _move(box: DeadLetterBox, queues: Sequence[str], options: argparse.Namespace) -> int:
    move = box.replay if options.command == "replay" else box.drop
    done = {queue: await move(queue, _selection(options)) for queue in queues}
    verb = "replayed" if options.command == "replay" else "dropped"
    _tell(
        options, {verb: done}, lambda: "\n".join(f"{verb} {n} of {queue}" for queue, n in done.items() if n)
    )
    return 0 if any(done.values()) else 1


def _selection(options: argparse.Namespace) -> Selection:
    if options.limit is not None:
        return Selection(options.limit, options.id)
    whole = options.id or options.command not in {"list", "show"}
    return Selection(_NO_LIMIT if whole else _LIST_LIMIT, options.id)


def _tell(options: argparse.Namespace, document: Any, text: Callable[[], str]) -> None:
    sys.stdout.write((as_json(document) if options.json else text() or "nothing") + "\n")


def _listed(counts: dict[str, int], letters: Sequence[DeadLetter]) -> Any:
    return {"counts": counts, "letters": [_summary(letter) for letter in letters]}


def _summary(letter: DeadLetter) -> dict[str, Any]:
    return {
        "queue": letter.queue,
        "messageId": letter.message_id,
        "firstFailedAt": letter.first_failed_at,
        "attempts": letter.attempts,
        "bytes": len(letter.body),
        "reason": letter.reason,
    }


def _shown(letter: DeadLetter, *, with_body: bool) -> dict[str, Any]:
    shown = {**_summary(letter), "timesRead": letter.deliveries, "headers": dict(letter.headers)}
    return {**shown, "body": readable(letter.queue, letter.body)} if with_body else shown


def _table(counts: dict[str, int], letters: Sequence[DeadLetter]) -> str:
    rows = [_COLUMNS, *(tuple(map(str, _summary(letter).values())) for letter in letters)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows] if letters else []
    totals = ", ".join(f"{count} of {queue}" for queue, count in counts.items() if count)
    return "\n".join([*lines, f"dead: {totals or 'none'}"])


def _block(shown: dict[str, Any]) -> str:
    return "\n".join(
        f"{name}: {as_json(value) if isinstance(value, dict) else value}" for name, value in shown.items()
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mesh.dead_letters", description="Dead letters of PARLEY_AMQP_URL."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="how many, and which; nothing of what they say")
    show = commands.add_parser("show", help="all that is known of some; what they say with --body")
    show.add_argument("--body", action="store_true", help="show what users wrote")
    commands.add_parser("replay", help="send back to work, as if never tried")
    commands.add_parser("drop", help="give up for good")
    for name, command in commands.choices.items():
        command.add_argument("--queue", action="append", help="a work queue; may be repeated; default all")
        command.add_argument("--limit", type=_positive, help="at most so many of each queue, oldest first")
        command.add_argument("--id", default="", help="those with this message id")
        command.add_argument("--json", action="store_true", help="JSON instead of text")
        if name in {"replay", "drop"}:
            command.add_argument("--all", action="store_true", help="all that are dead now")
    options = parser.parse_args(arguments)
    if options.command in {"replay", "drop"}:
        _check_chosen(options, commands.choices[options.command].error)
    return options


def _check_chosen(options: argparse.Namespace, refuse: Callable[[str], Never]) -> None:
    if not (options.all or options.id or options.limit is not None):
        refuse("choose with --id, --limit or --all")
    if options.command == "drop" and not options.id and not options.queue:
        refuse("--queue is required to drop more than one id")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
