"""A client that holds every answer of the HTTP API to its OpenAPI document."""

import httpx
import msgspec

from edge.rest.bodies import ErrorAnswer
from edge.rest.operation import Operation
from edge.rest.operations import OPERATIONS


class Api:
    """A client of the edge that holds each answer to the OpenAPI operations."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self.client = client
        self.token = token

    async def call(
        self, name: str, body: object = None, *, query: str = "", token: str | None = None, **path: str
    ) -> httpx.Response:
        """Calls the operation ``name``; ``path`` holds the values of its template, percent-encoded."""
        (operation,) = (operation for operation in OPERATIONS if operation.name == name)
        token = self.token if token is None else token
        content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        response = await self.client.request(
            operation.method,
            operation.path.format(**path) + query,
            content=content,
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )
        _hold_to(operation, response)
        return response


def _hold_to(operation: Operation, response: httpx.Response) -> None:
    documented = {int(status): kind for status, kind in operation.answers.items()}
    documented |= {int(status): ErrorAnswer for status in operation.errors}
    assert response.status_code in documented, f"{operation.name} does not document {response.status_code}"
    kind = documented[response.status_code]
    if kind is None:
        assert response.content == b""
        return
    typed = msgspec.json.decode(response.content, type=kind)
    assert msgspec.to_builtins(typed) == response.json(), "the answer has what the document says and no more"


def error_of(response: httpx.Response) -> tuple[int, str, bool]:
    """Status, code and whether a retry makes sense."""
    error = response.json()["error"]
    assert error["message"]
    return response.status_code, error["code"], error["retryable"]
