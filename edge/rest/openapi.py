"""The OpenAPI 3.1 document, made of what handlers declare; the schemas come from the types of the bodies."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from edge.identity import OPERATOR_SCOPE
from edge.protocol.json_schema import portable
from edge.rest.bodies import ErrorAnswer
from edge.rest.errors import STATUS_OF
from edge.rest.handler import RestHandler
from edge.rest.operation import Access, Operation, Parameter
from mesh.errors import code_of
from parley.common.v1.error_pb2 import ErrorReason

VERSION: Final = "1.0.0"
_REF: Final = "#/components/schemas/{name}"
_ABOUT: Final = """\
Chats, groups and history of Parley. Messages are sent and received over the WebSocket at `/ws`.

Ids of chats and messages are 24 lower-case hexadecimal digits, ids of users the `sub` of their tokens.
Times are RFC 3339 in UTC with milliseconds. A field that a request does not have is refused; answers may get
new fields. HEAD is served wherever GET is. Every error has the same body: its `code` is stable, and
`retryable` says whether the same request may succeed later. `x-idempotent` says whether an operation may be
repeated when its answer was lost: the repeat changes nothing more.
"""


def document(handlers: Iterable[type[RestHandler]]) -> dict[str, Any]:
    """The whole document on what these handlers serve."""
    declared = {handler.path: handler.operations for handler in handlers}
    kinds = {kind for operations in declared.values() for each in operations for kind in _kinds(each)}
    _, schemas = msgspec.json.schema_components(
        sorted(kinds | {ErrorAnswer}, key=lambda kind: kind.__name__), ref_template=_REF
    )
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
        "paths": {
            path: {each.method.lower(): _operation(each) for each in operations}
            for path, operations in declared.items()
        },
        "components": {
            "schemas": portable(schemas),
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
            **_refusals(operation.reasons),
        },
        "x-idempotent": operation.idempotent,
    }
    if operation.page:
        for answer in shown["responses"].values():
            answer["content"] = {"text/html": {"schema": {"type": "string"}}}
    if operation.parameters:
        shown["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        shown["requestBody"] = {"required": True, "content": _content(operation.body)}
    if operation.access is Access.PUBLIC:
        shown["security"] = []
    if operation.access is Access.OPERATOR:
        shown["security"] = [{"token": [OPERATOR_SCOPE]}]
    return shown


def _parameter(parameter: Parameter[Any]) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "path" if parameter.in_path else "query",
        "required": parameter.default is None,
        "description": parameter.description,
        "schema": parameter.format.schema,
    }


def _answer(status: HTTPStatus, kind: type[msgspec.Struct] | None) -> dict[str, Any]:
    about: dict[str, Any] = {"description": status.phrase, "headers": {"X-Request-Id": _header("RequestId")}}
    if kind is not None:
        about["content"] = _content(kind)
    return about


def _refusals(reasons: Iterable[ErrorReason.ValueType]) -> dict[str, Any]:
    """One answer per status, whose description names the codes."""
    codes: dict[HTTPStatus, list[str]] = {}
    for reason in reasons:
        codes.setdefault(STATUS_OF[reason], []).append(f"`{code_of(reason)}`")
    refusals = {}
    for status, names in sorted(codes.items()):
        about = _answer(status, ErrorAnswer)
        about["description"] = f"{status.phrase}: {', '.join(names)}"
        if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            about["headers"]["Retry-After"] = _header("RetryAfter")
        refusals[str(int(status))] = about
    return refusals


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _content(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}
