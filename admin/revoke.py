"""`revoke`: ends live connections of a user, and refuses the tokens that were issued up to now."""

from argparse import ArgumentParser, Namespace
from typing import Final

from admin.command import DONE, Command, user_id
from admin.output import json_option, tell
from admin.services import open_service
from admin.settings import CallerSettings
from mesh.settings import load
from parley.chat.v1.chat_service_pb2 import RevokeSessionsRequest
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("user", type=user_id, help="the user's id, as tokens have it")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="all connections, and every token up to now")
    which.add_argument("--connection", default="", help="this connection alone; the token stays good")
    json_option(parser)


async def _run(options: Namespace) -> int:
    settings = load(CallerSettings)
    request = RevokeSessionsRequest(user_id=options.user, connection_id=options.connection)
    async with open_service("chat", settings.chat_target, settings) as channel:
        answer = await ChatServiceStub(channel).RevokeSessions(request)
    tell({"revoked": answer.revoked}, lambda: f"connections that end: {answer.revoked}", as_json=options.json)
    return DONE


COMMAND: Final = Command("revoke", "end a user's connections and tokens", _add_arguments, _run)
