"""What a command is. Exit codes: 0 done; 1 not done, not found, or not well; 2 wrong usage; 78 settings."""

import math
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from contract.user_ids import USER_ID_RULE, is_user_id
from mesh.numbers import parse_number

DONE: Final = 0
NOT_DONE: Final = 1


@dataclass(frozen=True, slots=True)
class Command:
    """One word after `python -m admin`."""

    name: str
    help: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], Coroutine[Any, Any, int]]
    """Reads its settings, does the work, prints to standard output; gives the exit code.

    Raises:
        CommandError: it cannot be done; the text is for people.
        Unavailable, PyMongoError: a server is away, or refuses.
    """


class CommandError(Exception):
    """Why a command cannot be done, in words for the person who typed it."""


def user_id(text: str) -> str:
    """An argument that names a user."""
    if not is_user_id(text):
        raise ArgumentTypeError(f"a user's id {USER_ID_RULE}")
    return text


def positive(text: str) -> int:
    """An argument that says how many: 1 or more."""
    number = parse_number(text)
    if number is None or number < 1:
        raise ArgumentTypeError(f"{text} is not a number from 1 on")
    return number


def seconds(text: str) -> float:
    """An argument that is a time: more than 0, and finite."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value
