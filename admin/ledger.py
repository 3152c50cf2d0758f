"""`ledger`: what was decided and tried to tell people of messages, the newest first."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import Any, Final

from admin.command import DONE, Command, positive, user_id
from admin.output import json_option, table, tell
from admin.services import open_service
from admin.settings import CallerSettings
from mesh.clock import to_rfc3339
from mesh.settings import load
from parley.notify.v1 import notify_service_pb2 as pb
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub

_PAGE: Final = 500
_COLUMNS: Final = ("at", "users", "messages", "outcome", "device", "attempt", "detail")
_SHOWN: Final = 3


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--user", type=user_id, help="entries about this user")
    parser.add_argument("--message", default="", help="entries about this message")
    parser.add_argument("--limit", type=positive, default=100, help="at most so many; default 100")
    parser.set_defaults(refuse=parser.error)
    json_option(parser)


async def _run(options: Namespace) -> int:
    if not (options.user or options.message):
        options.refuse("choose with --user, --message or both")
    settings = load(CallerSettings)
    entries: list[pb.LedgerEntry] = []
    async with open_service("notify", settings.notify_target, settings) as channel:
        stub = NotifyServiceStub(channel)
        while (wanted := min(_PAGE, options.limit - len(entries))) > 0:
            request = pb.ListLedgerRequest(
                user_id=options.user or "",
                message_id=options.message,
                limit=wanted,
                before_id=entries[-1].id if entries else "",
            )
            page = (await stub.ListLedger(request)).entries
            entries += page
            if len(page) < wanted:
                break
    rows = ledger_rows(entries)
    tell(rows, lambda: ledger_table(rows), as_json=options.json)
    return DONE


def ledger_rows(entries: Iterable[pb.LedgerEntry]) -> list[dict[str, Any]]:
    """The entries as they are shown, in their order."""
    return [
        {
            "at": to_rfc3339(entry.at_ms),
            "users": list(entry.user_ids),
            "messages": list(entry.message_ids),
            "chat": entry.chat_id,
            "outcome": outcome_name(entry.outcome),
            "device": kind_name(entry.kind),
            "deviceId": entry.device_id,
            "attempt": entry.attempt or None,
            "detail": entry.detail,
        }
        for entry in entries
    ]


def ledger_table(rows: Iterable[dict[str, Any]]) -> str:
    """The entries for people; of many users or messages the first few."""
    return table(
        _COLUMNS,
        [{**row, "users": _few(row["users"]), "messages": _few(row["messages"])} for row in rows],
    )


def outcome_name(outcome: pb.Outcome.ValueType) -> str:
    """Such as `suppressed`; empty when there is none."""
    return _word(pb.Outcome.Name(outcome), "OUTCOME_")


def kind_name(kind: pb.DeviceKind.ValueType) -> str:
    """Such as `web_push`; empty for a decision."""
    return _word(pb.DeviceKind.Name(kind), "DEVICE_KIND_")


def _word(name: str, prefix: str) -> str:
    word = name.removeprefix(prefix).lower()
    return "" if word == "unspecified" else word


def _few(ids: list[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more


COMMAND: Final = Command("ledger", "what was decided and tried to tell people", _add_arguments, _run)
