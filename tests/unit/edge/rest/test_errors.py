"""The one table from reasons to HTTP statuses."""

from http import HTTPStatus

import pytest
from tornado.web import HTTPError

from edge.rest.errors import STATUS_OF, failure_of
from mesh.errors import CATEGORY_OF
from parley.common.v1.error_pb2 import ErrorReason


def test_every_reason_has_a_status() -> None:
    assert set(STATUS_OF) == set(ErrorReason.values()) - {ErrorReason.ERROR_REASON_UNSPECIFIED}


@pytest.mark.parametrize("reason", list(CATEGORY_OF), ids=ErrorReason.Name)
def test_retryable_errors_and_only_they_say_so_by_their_status(reason: ErrorReason.ValueType) -> None:
    invites_a_retry = STATUS_OF[reason] in {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
    assert invites_a_retry is CATEGORY_OF[reason].retryable


def test_a_defect_shows_nothing_but_the_request() -> None:
    status, error = failure_of(KeyError("a detail"), 500, "r-1")
    assert (status, error.code, error.message) == (500, "INTERNAL", "internal error; request r-1")


@pytest.mark.parametrize(
    ("tornado", "status", "code"),
    [
        (404, 404, "NOT_FOUND"),
        (405, 405, "METHOD_NOT_ALLOWED"),
        (400, 400, "MALFORMED_FRAME"),
        (500, 500, "INTERNAL"),
    ],
)
def test_what_tornado_refuses_itself(tornado: int, status: int, code: str) -> None:
    found, error = failure_of(HTTPError(tornado), tornado, "r-1")
    assert (found, error.code) == (status, code)
