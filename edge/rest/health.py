"""``/healthz`` and ``/readyz`` on the public port, for load balancers: yes or no, without inner details."""

from http import HTTPStatus

from edge.rest.bodies import HealthAnswer, ReadyAnswer
from edge.rest.handler import RestHandler
from edge.rest.operation import Access, Operation


class HealthHandler(RestHandler):
    """Liveness."""

    path = "/healthz"
    operations = (
        Operation(
            method="GET",
            name="getHealth",
            summary="Whether the process is alive",
            answers={HTTPStatus.OK: HealthAnswer},
            access=Access.PUBLIC,
        ),
    )

    def get(self) -> None:
        """Alive: the event loop turns. Says nothing about dependencies, so an outage restarts nobody."""
        self.answer(HealthAnswer())


class ReadyHandler(RestHandler):
    """Readiness."""

    path = "/readyz"
    operations = (
        Operation(
            method="GET",
            name="getReadiness",
            summary="Whether the process should be sent work",
            answers={HTTPStatus.OK: ReadyAnswer, HTTPStatus.SERVICE_UNAVAILABLE: ReadyAnswer},
            access=Access.PUBLIC,
        ),
    )

    def get(self) -> None:
        """200 when this process should be sent work, else 503."""
        ready = self.deps.readiness.ready
        self.answer(ReadyAnswer(ready=ready), HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)
