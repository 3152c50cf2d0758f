"""`dead-letters list|show|replay|drop`: what no consumer could handle."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import Any, Final

from admin.command import DONE, NOT_DONE, Command, CommandError, positive
from admin.output import json_option, table, tell, to_json
from admin.settings import BrokerSettings
from mesh.amqp.topology import QUEUES
from mesh.dead_letters.bodies import readable
from mesh.dead_letters.box import DeadLetterBox, QueueMissingError, Selection, open_box
from mesh.dead_letters.letter import DeadLetter
from mesh.settings import load

_LIST_LIMIT: Final = 50
_NO_LIMIT: Final = sys.maxsize
_COLUMNS: Final = {
    "queue": "queue",
    "messageId": "message id",
    "firstFailedAt": "first failed at",
    "attempts": "attempts",
    "bytes": "bytes",
    "reason": "reason",
}


def _add_arguments(parser: ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", required=True)
    commands.add_parser("list", help="how many, and which; nothing of what they say")
    show = commands.add_parser("show", help="all that is known of some; what they say with --body")
    show.add_argument("--body", action="store_true", help="show what users wrote")
    commands.add_parser("replay", help="send back to work, as if never tried")
    commands.add_parser("drop", help="give up for good")
    for name, command in commands.choices.items():
        command.add_argument("--queue", action="append", help="a work queue; may be repeated; default all")
        command.add_argument("--limit", type=positive, help="at most so many of each queue, oldest first")
        command.add_argument("--id", default="", help="those with this message id")
        json_option(command)
        if name in {"replay", "drop"}:
            command.add_argument("--all", action="store_true", help="all that are dead now")
            command.set_defaults(refuse=command.error)


async def _run(options: Namespace) -> int:
    if options.action in {"replay", "drop"}:
        _check_chosen(options)
    settings = load(BrokerSettings)
    queues: Sequence[str] = options.queue or QUEUES
    try:
        async with open_box(settings.amqp_url) as box:
            if options.action in {"replay", "drop"}:
                return await _move(box, queues, options)
            return await _show(box, queues, options)
    except QueueMissingError as error:
        raise CommandError(str(error)) from error


async def _show(box: DeadLetterBox, queues: Sequence[str], options: Namespace) -> int:
    selection = _selection(options)
    found = {queue: await box.read(queue, selection) for queue in queues}
    counts = {queue: reading.waiting for queue, reading in found.items()}
    letters = [letter for reading in found.values() for letter in reading.letters]
    if options.action == "list":
        tell(_listed(counts, letters), lambda: _table(counts, letters), as_json=options.json)
    else:
        shown = [_shown(letter, with_body=options.body) for letter in letters]
        tell(shown, lambda: "\n\n".join(map(_block, shown)), as_json=options.json)
    return DONE if letters or not options.id else NOT_DONE


async def _move(box: DeadLetterBox, queues: Sequence[str], options: Namespace) -> int:
    move = box.replay if options.action == "replay" else box.drop
    done = {queue: await move(queue, _selection(options)) for queue in queues}
    verb = "replayed" if options.action == "replay" else "dropped"
    tell(
        {verb: done},
        lambda: "\n".join(f"{verb} {n} of {queue}" for queue, n in done.items() if n),
        as_json=options.json,
    )
    return DONE if any(done.values()) else NOT_DONE


def _selection(options: Namespace) -> Selection:
    if options.limit is not None:
        return Selection(options.limit, options.id)
    whole = options.id or options.action not in {"list", "show"}
    return Selection(_NO_LIMIT if whole else _LIST_LIMIT, options.id)


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
    rows = [{_COLUMNS[name]: value for name, value in _summary(letter).items()} for letter in letters]
    totals = ", ".join(f"{count} of {queue}" for queue, count in counts.items() if count)
    lines = table(tuple(_COLUMNS.values()), rows)
    return "\n".join([*([lines] if lines else []), f"dead: {totals or 'none'}"])


def _block(shown: dict[str, Any]) -> str:
    return "\n".join(
        f"{name}: {to_json(value) if isinstance(value, dict) else value}" for name, value in shown.items()
    )


def _check_chosen(options: Namespace) -> None:
    refuse: Callable[[str], Any] = options.refuse
    if not (options.all or options.id or options.limit is not None):
        refuse("choose with --id, --limit or --all")
    if options.action == "drop" and not options.id and not options.queue:
        refuse("--queue is required to drop more than one id")


COMMAND: Final = Command("dead-letters", "what no consumer could handle", _add_arguments, _run)
