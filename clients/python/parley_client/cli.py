"""The command line: arguments in, exit code out.

Exit codes: 0 done · 1 refused by the server · 2 wrong arguments · 69 the server cannot be reached · 77 the
token is not accepted · 130 interrupted (69 and 77 as in sysexits.h).
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from parley_client.chat import MAX_HISTORY, chat, devices, listen, send
from parley_client.errors import ParleyError, TokenError, UnavailableError
from parley_client.sessions import Login

_EX_REFUSED: Final = 1
_EX_UNAVAILABLE: Final = 69
_EX_NOPERM: Final = 77
_EX_INTERRUPTED: Final = 130

_DEFAULT_URL: Final = "http://127.0.0.1:8080"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    for value in vars(arguments).values():
        if isinstance(value, str) and not _is_text(value):
            parser.error(f"{value!r} is not UTF-8")
    logging.basicConfig(level=logging.ERROR, format="parley: %(message)s")
    login = Login(arguments.url, arguments.user, arguments.name, arguments.token)
    try:
        match arguments.command:
            case "chat":
                asyncio.run(chat(login, arguments.to, arguments.chat, history=arguments.history))
            case "send":
                text = sys.stdin.read() if arguments.text == "-" else arguments.text
                asyncio.run(send(login, arguments.to, arguments.chat, text))
            case "devices":
                asyncio.run(devices(login))
            case _:
                asyncio.run(listen(login))
    except KeyboardInterrupt:
        return _EX_INTERRUPTED
    except ParleyError as error:
        print(f"parley: {error}", file=sys.stderr)
        return _exit_code(error)
    return 0


def _is_text(value: str) -> bool:
    """Bytes of an argument that are no UTF-8 come as halves of characters, which no server takes."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _exit_code(error: ParleyError) -> int:
    match error:
        case UnavailableError():
            return _EX_UNAVAILABLE
        case TokenError():
            return _EX_NOPERM
        case _:
            return _EX_REFUSED


def _parser() -> argparse.ArgumentParser:
    session = argparse.ArgumentParser(add_help=False)
    session.add_argument("--as", dest="user", required=True, metavar="USER", help="who you are")
    session.add_argument("--name", default="", help="how others see you (default: the user id)")
    session.add_argument("--url", type=_url, default=_DEFAULT_URL, help="the server (default: %(default)s)")
    session.add_argument("--token", help="your token (default: the server gives one, in development only)")
    place = argparse.ArgumentParser(add_help=False)
    where = place.add_mutually_exclusive_group(required=True)
    where.add_argument("--to", metavar="USER", help="the user to talk to")
    where.add_argument("--chat", metavar="ID", help="the chat to talk in, such as a group's")

    parser = argparse.ArgumentParser(prog="parley", description="Chat over Parley from a terminal.")
    commands = parser.add_subparsers(dest="command", required=True)
    talk = commands.add_parser("chat", parents=[session, place], help="send the lines you type, show others'")
    talk.add_argument("--history", type=_count, default=20, metavar="N", help="lines shown first, 0 to 100")
    one = commands.add_parser("send", parents=[session, place], help="send one message, wait for the ack")
    one.add_argument("text", help="the message, or - for the standard input")
    commands.add_parser("devices", parents=[session], help="show where your notifications go")
    commands.add_parser("listen", parents=[session], help="show what happens in all your chats")
    return parser


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise argparse.ArgumentTypeError("must be like http://127.0.0.1:8080")
    return text


def _count(text: str) -> int:
    plain = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_HISTORY))
    if not plain or int(text) > MAX_HISTORY:
        raise argparse.ArgumentTypeError(f"must be 0 to {MAX_HISTORY}")
    return int(text)
