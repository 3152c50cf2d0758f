"""What a handler declares of one operation: what it takes, answers and refuses, and who may call it.

The routes, the access check and the OpenAPI document all read this declaration; nothing repeats it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec

from edge.rest.errors import invalid
from parley.common.v1.error_pb2 import ErrorReason

ValueT = TypeVar("ValueT")
Method: TypeAlias = Literal["GET", "POST", "PUT", "DELETE"]

SERVICE_ERRORS: Final = (
    ErrorReason.ERROR_REASON_INTERNAL,
    ErrorReason.ERROR_REASON_UNAVAILABLE,
    ErrorReason.ERROR_REASON_OVERLOADED,
    ErrorReason.ERROR_REASON_DRAINING,
    ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
)
"""What a call to a service behind the edge can end in, whatever it asks for."""
_TOKEN_ERRORS: Final = (
    ErrorReason.ERROR_REASON_INVALID_TOKEN,
    ErrorReason.ERROR_REASON_TOKEN_EXPIRED,
    ErrorReason.ERROR_REASON_SESSION_REVOKED,
)
_INPUT_ERRORS: Final = (
    ErrorReason.ERROR_REASON_INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_MALFORMED_FRAME,
)


class Access(Enum):
    """Who may call an operation."""

    PUBLIC = "public"
    """Anybody, without a token."""
    USER = "user"
    """Whoever has a good token."""
    OPERATOR = "operator"
    """Whoever has a good token with the scope of operators."""


@dataclass(frozen=True, slots=True)
class Format(Generic[ValueT]):
    """How the text of a parameter is read. ``read`` gives None for a text that breaks the rule."""

    schema: Mapping[str, Any]
    """For the OpenAPI document."""
    rule: str
    """For whoever breaks it, behind the parameter's name: ``must be a number from 1 to 100``."""
    read: Callable[[str], ValueT | None]


@dataclass(frozen=True, slots=True)
class Parameter(Generic[ValueT]):
    """A part of the path or of the query string."""

    name: str
    description: str
    format: Format[ValueT]
    in_path: bool = False
    default: ValueT | None = None
    """The value where the query string does not have it; None: it must be there."""

    def value(self, text: str | None) -> ValueT:
        """What ``text`` means; None stands for a parameter that is not there.

        Raises:
            InvalidArgument: it is missing, or breaks the rule of its format.
        """
        found = self.default if text is None else self.format.read(text)
        if found is None:
            raise invalid(f"{self.name} is missing" if text is None else f"{self.name} {self.format.rule}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    method: Method
    name: str
    """The ``operationId``; unique."""
    summary: str
    answers: Mapping[HTTPStatus, type[msgspec.Struct] | None]
    """The good ends and their bodies; None for no body."""
    parameters: tuple[Parameter[Any], ...] = ()
    body: type[msgspec.Struct] | None = None
    errors: tuple[ErrorReason.ValueType, ...] = ()
    """The refusals of its own, besides those that ``access``, ``parameters`` and ``body`` bring along."""
    access: Access = Access.USER
    idempotent: bool = True
    """A repeat after a lost answer changes nothing more. GET must be; POST often is not."""
    page: bool = False
    """Answers and refusals are pages for people."""

    @property
    def reasons(self) -> tuple[ErrorReason.ValueType, ...]:
        """Every refusal that a caller may meet."""
        reasons = list(self.errors)
        if self.parameters or self.body is not None:
            reasons += _INPUT_ERRORS
        if self.body is not None:
            reasons.append(ErrorReason.ERROR_REASON_TOO_LARGE)
        if self.access is not Access.PUBLIC:
            reasons += (*_TOKEN_ERRORS, ErrorReason.ERROR_REASON_RATE_LIMITED, *SERVICE_ERRORS)
        if self.access is Access.OPERATOR:
            reasons.append(ErrorReason.ERROR_REASON_PERMISSION_DENIED)
        return tuple(dict.fromkeys(reasons))
