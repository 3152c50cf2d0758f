"""Which path goes to which handler. A path template is the same one that the OpenAPI document shows."""

import re
from http import HTTPStatus
from typing import Any, Final

from tornado.routing import PathMatches, Rule
from tornado.web import RequestHandler

from edge.rest.chats import ChatHandler, ChatsHandler
from edge.rest.dev_console import DevConsoleHandler
from edge.rest.dev_token import DevTokenHandler
from edge.rest.devices import DeviceHandler, DevicesHandler, PushConfigHandler
from edge.rest.document import DocumentHandler
from edge.rest.groups import GroupsHandler
from edge.rest.handler import NotFoundHandler, RestDeps, RestHandler
from edge.rest.health import HealthHandler, ReadyHandler
from edge.rest.members import MemberHandler, MembersHandler, OwnMembershipHandler
from edge.rest.messages import MessagesHandler
from edge.rest.notifications import ExplanationHandler, LedgerHandler
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

PATHS: Final[dict[str, type[RestHandler]]] = {
    "/api/v1/chats": ChatsHandler,
    "/api/v1/groups": GroupsHandler,
    "/api/v1/chats/{chatId}": ChatHandler,
    "/api/v1/chats/{chatId}/messages": MessagesHandler,
    "/api/v1/chats/{chatId}/members": MembersHandler,
    # Before the one with a userId: a user who is really called "me" is named in the query of "members".
    "/api/v1/chats/{chatId}/members/me": OwnMembershipHandler,
    "/api/v1/chats/{chatId}/members/{userId}": MemberHandler,
    "/api/v1/sessions": SessionsHandler,
    "/api/v1/sessions/{connectionId}": SessionHandler,
    "/api/v1/devices": DevicesHandler,
    "/api/v1/devices/{deviceId}": DeviceHandler,
    "/api/v1/push-config": PushConfigHandler,
    "/api/v1/notification-preferences": PreferencesHandler,
    "/api/v1/chats/{chatId}/mute": MuteHandler,
    "/api/v1/admin/notifications": LedgerHandler,
    "/api/v1/admin/notifications/explain": ExplanationHandler,
    "/api/v1/admin/webhooks": SubscriptionsHandler,
    "/api/v1/admin/webhooks/{subscriptionId}": SubscriptionHandler,
    "/api/v1/admin/webhooks/{subscriptionId}/secret": SecretHandler,
    "/api/v1/admin/webhooks/{subscriptionId}/deliveries": HookDeliveriesHandler,
    "/api/v1/admin/webhooks/{subscriptionId}/deliveries/{deliveryId}/replay": ReplayHandler,
    "/api/v1/dev/token": DevTokenHandler,
    "/api/v1/dev/console": DevConsoleHandler,
    "/api/v1/unsubscribe": UnsubscribeHandler,
    "/api/v1/openapi.json": DocumentHandler,
    "/healthz": HealthHandler,
    "/readyz": ReadyHandler,
}


def routes(deps: RestDeps) -> list[Rule]:
    """The rules to mount. Everything else under ``/api`` is answered 404 in the shape of other errors.

    Other paths are the caller's; ``application_settings`` gives them the same 404.
    """
    rules = [_rule(_pattern(template), handler, deps) for template, handler in PATHS.items()]
    return [*rules, _rule(r"/api(/.*)?", NotFoundHandler, deps)]


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


def _rule(pattern: str, handler: type[RestHandler], deps: RestDeps) -> Rule:
    return Rule(PathMatches(pattern), handler, {"deps": deps})


def _pattern(template: str) -> str:
    return re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(template)) + "$"
