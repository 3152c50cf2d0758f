"""``/healthz`` and ``/readyz`` on the public port, for load balancers: yes or no, without inner details."""

from http import HTTPStatus

from edge.rest.bodies import HealthAnswer, ReadyAnswer
from edge.rest.handler import RestHandler


class HealthHandler(RestHandler):
    """``/healthz``."""

    public = True

    def get(self) -> None:
        """Alive: the event loop turns. Says nothing about dependencies, so an outage restarts nobody."""
        self.answer(HealthAnswer())


class ReadyHandler(RestHandler):
    """``/readyz``."""

    public = True

    def get(self) -> None:
        """200 when this process should be sent work, else 503."""
        ready = self.deps.readiness.ready
        self.answer(ReadyAnswer(ready=ready), HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)
