"""What the OpenAPI document tells of one operation, and the refusals that many have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the path or of the query string."""

    name: str
    description: str
    schema: dict[str, Any]
    in_path: bool = False
    required: bool = False
    """Must be there; those of the path are in any case."""


Answers = Mapping[HTTPStatus, type[msgspec.Struct] | None]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. ``answers`` are the good ends, ``errors`` the statuses of refusals."""

    name: str
    method: Literal["get", "post", "put", "delete"]
    path: str
    summary: str
    answers: Answers
    errors: tuple[HTTPStatus, ...]
    parameters: tuple[Parameter, ...] = ()
    body: type[msgspec.Struct] | None = None
    public: bool = False
    operators_only: bool = False
    page: bool = False
    """Answers and refusals are pages for people."""


# What every call to a service behind can end in, and what every body can be refused for.
ALWAYS: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
BODY: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
