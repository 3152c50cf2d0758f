"""`explain`: why somebody was, or was not, told of a message."""

from argparse import ArgumentParser, Namespace
from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from admin.command import DONE, NOT_DONE, Command, user_id
from admin.ledger import kind_name, ledger_rows, ledger_table, outcome_name
from admin.output import json_option, table, tell
from admin.services import open_service
from admin.settings import CallerSettings
from mesh.clock import to_rfc3339
from mesh.settings import load
from parley.notify.v1 import notify_service_pb2 as pb
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub

_DEVICE_COLUMNS: Final = ("id", "kind", "label", "refreshed")


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("user", type=user_id, help="the user's id, as tokens have it")
    parser.add_argument("message", help="the message's id")
    json_option(parser)


async def _run(options: Namespace) -> int:
    settings = load(CallerSettings)
    request = pb.ExplainNotificationRequest(user_id=options.user, message_id=options.message)
    async with open_service("notify", settings.notify_target, settings) as channel:
        answer = await NotifyServiceStub(channel).ExplainNotification(request)
    shown = _shown(answer)
    tell(shown, lambda: _text(shown), as_json=options.json)
    return DONE if answer.outcome else NOT_DONE


def _shown(answer: pb.ExplainNotificationResponse) -> dict[str, Any]:
    # Not the devices' addresses: whoever knows one may write to it.
    devices = [
        {
            "id": device.id,
            "kind": kind_name(device.kind),
            "label": device.label,
            "refreshed": to_rfc3339(device.refreshed_at_ms),
        }
        for device in answer.devices
    ]
    return {
        "outcome": outcome_name(answer.outcome),
        "summary": answer.summary,
        "entries": ledger_rows(answer.entries),
        "devices": devices,
        "preferences": MessageToDict(answer.preferences, always_print_fields_with_no_presence=True),
    }


def _text(shown: dict[str, Any]) -> str:
    preferences = ", ".join(f"{name} {value}" for name, value in shown["preferences"].items())
    parts = [
        shown["summary"],
        ledger_table(shown["entries"]),
        table(_DEVICE_COLUMNS, shown["devices"]),
        f"preferences: {preferences}",
    ]
    return "\n\n".join(part for part in parts if part)


COMMAND: Final = Command("explain", "why a user was, or was not, told of a message", _add_arguments, _run)
