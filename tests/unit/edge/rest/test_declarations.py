"""A handler serves what it declares, and can read nothing else."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from edge.rest.bodies import AddMembersBody, CreateChatBody
from edge.rest.chats import ChatsHandler
from edge.rest.operation import Access, Operation
from edge.rest.parameters import CHAT, LIMIT
from mesh.errors import code_of


def asked(method: str) -> ChatsHandler:
    handler = object.__new__(ChatsHandler)
    start = RequestStartLine(method, ChatsHandler.path, "HTTP/1.1")
    handler.request = HTTPServerRequest(start_line=start, headers=HTTPHeaders({"Host": "a"}))
    return handler


def codes(access: Access, **more: object) -> set[str]:
    operation = Operation(
        method="GET",
        name="try",
        summary="Try",
        answers={HTTPStatus.OK: None},
        access=access,
        **more,  # type: ignore[arg-type]  # what a case adds
    )
    return {code_of(reason) for reason in operation.reasons}


def test_what_an_operation_does_not_declare_it_cannot_read() -> None:
    assert asked("GET").value(LIMIT) == 50
    assert asked("HEAD").value(LIMIT) == 50
    with pytest.raises(RuntimeError, match="listChats does not declare chatId"):
        asked("GET").value(CHAT)
    with pytest.raises(RuntimeError, match="createChat does not declare limit"):
        asked("POST").value(LIMIT)
    with pytest.raises(RuntimeError, match="createChat does not declare AddMembersBody"):
        asked("POST").body(AddMembersBody)


def test_access_parameters_and_body_bring_their_refusals_along() -> None:
    assert codes(Access.PUBLIC) == set()
    assert codes(Access.PUBLIC, parameters=(LIMIT,)) == {"INVALID_ARGUMENT", "MALFORMED_FRAME"}
    assert codes(Access.PUBLIC, body=CreateChatBody) == {"INVALID_ARGUMENT", "MALFORMED_FRAME", "TOO_LARGE"}
    of_user = codes(Access.USER)
    assert {"INVALID_TOKEN", "RATE_LIMITED", "UNAVAILABLE", "INTERNAL"} < of_user
    assert codes(Access.OPERATOR) == of_user | {"PERMISSION_DENIED"}
