"""A client that holds every answer of the HTTP API to its OpenAPI document."""

import httpx
import msgspec

from edge.rest.bodies import ErrorAnswer
from edge.rest.errors import STATUS_OF
from edge.rest.operation import Operation
from edge.rest.routes import HANDLERS
from mesh.errors import code_of

OPERATIONS = {
    operation.name: (handler.path, operation) for handler in HANDLERS for operation in handler.operations
}
"""By name: the path's template, and what the handler declares."""


class Api:
    """A client of the edge that holds each answer to the OpenAPI operations."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self.client = client
        self.token = token

    async def call(
        self, name: str, body: object = None, *, query: str = "", token: str | None = None, **path: str
    ) -> httpx.Response:
        """Calls the operation ``name``; ``path`` holds the values of its template, percent-encoded."""
        template, operation = OPERATIONS[name]
        token = self.token if token is None else token
        content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        response = await self.client.request(
            operation.method,
            template.format(**path) + query,
            content=content,
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )
        _hold_to(operation, response)
        return response


def _hold_to(operation: Operation, response: httpx.Response) -> None:
    documented = {int(status): kind for status, kind in operation.answers.items()}
    documented |= {int(STATUS_OF[reason]): ErrorAnswer for reason in operation.reasons}
    assert response.status_code in documented, f"{operation.name} does not document {response.status_code}"
    kind = documented[response.status_code]
    if kind is None:
        assert response.content == b""
        return
    typed = msgspec.json.decode(response.content, type=kind)
    assert msgspec.to_builtins(typed) == response.json(), "the answer has what the document says and no more"
    if isinstance(typed, ErrorAnswer):
        codes = {code_of(reason) for reason in operation.reasons}
        assert typed.error.code in codes, f"{operation.name} does not document {typed.error.code}"


def error_of(response: httpx.Response) -> tuple[int, str, bool]:
    """Status, code and whether a retry makes sense."""
    error = response.json()["error"]
    assert error["message"]
    return response.status_code, error["code"], error["retryable"]
