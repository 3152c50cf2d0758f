"""`sessions`: the live connections of a user."""

from argparse import ArgumentParser, Namespace
from typing import Final

from admin.command import DONE, Command, user_id
from admin.output import json_option, table, tell
from admin.services import open_service
from admin.settings import CallerSettings
from mesh.settings import load
from parley.chat.v1.chat_service_pb2 import ListSessionsRequest
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("user", type=user_id, help="the user's id, as tokens have it")
    json_option(parser)


async def _run(options: Namespace) -> int:
    settings = load(CallerSettings)
    async with open_service("chat", settings.chat_target, settings) as channel:
        answer = await ChatServiceStub(channel).ListSessions(ListSessionsRequest(user_id=options.user))
    rows = [{"connection": connection_id} for connection_id in sorted(answer.connection_ids)]
    tell(rows, lambda: table(("connection",), rows), as_json=options.json)
    return DONE


COMMAND: Final = Command("sessions", "the live connections of a user", _add_arguments, _run)
