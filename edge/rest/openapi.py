"""The OpenAPI 3.1 document: the operations are listed here, the schemas come from the types of the bodies."""

from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec

from edge.identity import OPERATOR_SCOPE
from edge.rest.bodies import ErrorAnswer
from edge.rest.operation import Operation, Parameter
from edge.rest.operations import OPERATIONS

VERSION: Final = "1.0.0"
_REF: Final = "#/components/schemas/{name}"
_ABOUT: Final = """\
Chats, groups and history of Parley. Messages are sent and received over the WebSocket at `/ws`.

Ids of chats and messages are 24 lower-case hexadecimal digits, ids of users the `sub` of their tokens.
Times are RFC 3339 in UTC with milliseconds. A field that a request does not have is refused; answers may get
new fields. HEAD is served wherever GET is. Every error has the same body: its `code` is stable, and
`retryable` says whether the same request may succeed later.
"""


@cache
def document() -> dict[str, Any]:
    """The whole document. Made once; not to be changed by the caller."""
    kinds = {kind for operation in OPERATIONS for kind in _kinds(operation)} | {ErrorAnswer}
    _, schemas = msgspec.json.schema_components(
        sorted(kinds, key=lambda kind: kind.__name__), ref_template=_REF
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Parley",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "headers": {
                "RequestId": {
                    "description": "Names the request in the logs; the client's own if it sent one.",
                    "schema": {"type": "string"},
                },
                "RetryAfter": {
                    "description": "Seconds after which a repeat makes sense.",
                    "schema": {"type": "integer"},
                },
            },
        },
    }


def _kinds(operation: Operation) -> list[type[msgspec.Struct]]:
    answers = [kind for kind in operation.answers.values() if kind is not None]
    return [*answers, operation.body] if operation.body else answers


def _operation(operation: Operation) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {
            **{str(int(status)): _answer(status, kind) for status, kind in operation.answers.items()},
            **{str(int(status)): _error(status) for status in operation.errors},
        },
    }
    if operation.page:
        for answer in shown["responses"].values():
            answer["content"] = {"text/html": {"schema": {"type": "string"}}}
    if operation.parameters:
        shown["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        shown["requestBody"] = {"required": True, "content": _content(operation.body)}
    if operation.public:
        shown["security"] = []
    if operation.operators_only:
        shown["security"] = [{"token": [OPERATOR_SCOPE]}]
    return shown


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "path" if parameter.in_path else "query",
        "required": parameter.in_path or parameter.required,
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _answer(status: HTTPStatus, kind: type[msgspec.Struct] | None) -> dict[str, Any]:
    about: dict[str, Any] = {"description": status.phrase, "headers": {"X-Request-Id": _header("RequestId")}}
    if kind is not None:
        about["content"] = _content(kind)
    return about


def _error(status: HTTPStatus) -> dict[str, Any]:
    about = _answer(status, ErrorAnswer)
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        about["headers"]["Retry-After"] = _header("RetryAfter")
    return about


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _content(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}
