"""Which path goes to which handler. A path template is the same one that the OpenAPI document shows."""

import re
from typing import Final

from tornado.routing import PathMatches, Rule
from tornado.web import RequestHandler

from edge.rest.chats import ChatHandler, ChatsHandler
from edge.rest.dev_token import DevTokenHandler
from edge.rest.document import DocumentHandler
from edge.rest.groups import GroupsHandler
from edge.rest.handler import NotFoundHandler, RestDeps, RestHandler
from edge.rest.health import HealthHandler, ReadyHandler
from edge.rest.members import MemberHandler, MembersHandler, OwnMembershipHandler
from edge.rest.messages import MessagesHandler

PATHS: Final[dict[str, type[RestHandler]]] = {
    "/api/v1/chats": ChatsHandler,
    "/api/v1/groups": GroupsHandler,
    "/api/v1/chats/{chatId}": ChatHandler,
    "/api/v1/chats/{chatId}/messages": MessagesHandler,
    "/api/v1/chats/{chatId}/members": MembersHandler,
    # Before the one with a userId: a user who is really called "me" is reached as "%6De".
    "/api/v1/chats/{chatId}/members/me": OwnMembershipHandler,
    "/api/v1/chats/{chatId}/members/{userId}": MemberHandler,
    "/api/v1/dev/token": DevTokenHandler,
    "/api/v1/openapi.json": DocumentHandler,
    "/healthz": HealthHandler,
    "/readyz": ReadyHandler,
}


def routes(deps: RestDeps) -> list[Rule]:
    """The rules to mount. Everything else under ``/api`` is answered 404 in the shape of other errors.

    Other paths are the caller's; ``not_found`` gives them the same 404.
    """
    rules = [_rule(_pattern(template), handler, deps) for template, handler in PATHS.items()]
    return [*rules, _rule(r"/api(/.*)?", NotFoundHandler, deps)]


def not_found(deps: RestDeps) -> dict[str, type[RequestHandler] | dict[str, RestDeps]]:
    """Settings of a Tornado ``Application`` that answer unknown paths like the API does."""
    return {"default_handler_class": NotFoundHandler, "default_handler_args": {"deps": deps}}


def _rule(pattern: str, handler: type[RestHandler], deps: RestDeps) -> Rule:
    return Rule(PathMatches(pattern), handler, {"deps": deps})


def _pattern(template: str) -> str:
    return re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(template)) + "$"
