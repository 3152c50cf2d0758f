"""Every handler of the API, and the routes to them."""

import re
from http import HTTPStatus
from typing import Any, Final

import msgspec
from tornado.routing import PathMatches, Rule
from tornado.web import RequestHandler

from edge.protocol import asyncapi
from edge.rest.chats import ChatHandler, ChatsHandler
from edge.rest.dev_console import DevConsoleHandler
from edge.rest.dev_token import DevTokenHandler
from edge.rest.devices import DeviceHandler, DevicesHandler, PushConfigHandler
from edge.rest.document import DocumentHandler, SocketDocumentHandler
from edge.rest.groups import GroupsHandler
from edge.rest.handler import NotFoundHandler, RestDeps, RestHandler
from edge.rest.health import HealthHandler, ReadyHandler
from edge.rest.members import MemberHandler, MembersHandler, OwnMembershipHandler
from edge.rest.messages import MessagesHandler
from edge.rest.notifications import ExplanationHandler, LedgerHandler
from edge.rest.openapi import document
from edge.rest.preferences import MuteHandler, PreferencesHandler
from edge.rest.sessions import SessionHandler, SessionsHandler
from edge.rest.unsubscribe import UnsubscribeHandler
from edge.rest.webhooks import (
    HookDeliveriesHandler,
    ReplayHandler,
    SecretHandler,
    SubscriptionHandler,
    SubscriptionsHandler,
)
from mesh.logs import get_logger

_log = get_logger()

HANDLERS: Final[tuple[type[RestHandler], ...]] = (
    ChatsHandler,
    GroupsHandler,
    ChatHandler,
    MessagesHandler,
    MembersHandler,
    OwnMembershipHandler,  # before `MemberHandler`, whose path matches too
    MemberHandler,
    SessionsHandler,
    SessionHandler,
    DevicesHandler,
    DeviceHandler,
    PushConfigHandler,
    PreferencesHandler,
    MuteHandler,
    LedgerHandler,
    ExplanationHandler,
    SubscriptionsHandler,
    SubscriptionHandler,
    SecretHandler,
    HookDeliveriesHandler,
    ReplayHandler,
    DevTokenHandler,
    DevConsoleHandler,
    UnsubscribeHandler,
    HealthHandler,
    ReadyHandler,
)
"""All of them, apart from those of the two documents; OpenAPI shows them in this order."""


def routes(deps: RestDeps) -> list[Rule]:
    """The rules to mount. Everything else under ``/api`` is answered 404 in the shape of other errors.

    Other paths are the caller's; ``application_settings`` gives them the same 404.
    """
    described, of_socket = msgspec.json.encode(document(HANDLERS)), msgspec.json.encode(asyncapi.document())
    return [
        *(_rule(_pattern(handler.path), handler, deps) for handler in HANDLERS),
        _rule(_pattern(DocumentHandler.path), DocumentHandler, deps, document=described),
        _rule(_pattern(SocketDocumentHandler.path), SocketDocumentHandler, deps, document=of_socket),
        _rule(r"/api(/.*)?", NotFoundHandler, deps),
    ]


def application_settings(deps: RestDeps) -> dict[str, Any]:
    """For the Tornado ``Application``: unknown paths answer like the API does, and the access log is ours."""
    return {
        "default_handler_class": NotFoundHandler,
        "default_handler_args": {"deps": deps},
        "log_function": _log_request,
    }


def _log_request(handler: RequestHandler) -> None:
    # Tornado's own line has the query string, and with it the token of a WebSocket handshake.
    # An outage of what is behind (503, 504) is told once, by whoever watches it.
    tell = _log.warning if handler.get_status() == HTTPStatus.INTERNAL_SERVER_ERROR else _log.debug
    tell(
        "http.request",
        method=handler.request.method,
        path=handler.request.path,
        status=handler.get_status(),
        milliseconds=round(handler.request.request_time() * 1000, 1),
        request_id=handler.request.headers.get("X-Request-Id"),
    )


def _rule(pattern: str, handler: type[RestHandler], deps: RestDeps, **arguments: object) -> Rule:
    return Rule(PathMatches(pattern), handler, {"deps": deps, **arguments})


def _pattern(template: str) -> str:
    return re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template)) + "$"
