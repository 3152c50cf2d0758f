"""What every HTTP handler does around its own few lines."""

import math
import re
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Any, ClassVar, Final

import msgspec
from tornado.web import HTTPError, RequestHandler, stream_request_body

from edge.addresses import TrustedProxies
from edge.identity import OPERATOR_SCOPE, Identity, TokenVerifier, extract_token
from edge.identity.dev_tokens import DevTokens
from edge.identity.revocations import Revocations
from edge.protocol.errors import error_json
from edge.rest.bodies import BodyT, ErrorAnswer, parse_body
from edge.rest.errors import SAFE_HEADERS, announced_length, check_head, failure_of, invalid, too_large
from edge.rest.metrics import HTTP_SECONDS
from edge.rest.operation import Access, Operation, Parameter, ValueT
from edge.rest.origins import OriginPolicy
from edge.traces import ClientTraces
from mesh import tracing
from mesh.errors import Internal, ParleyError, PermissionDenied, Unauthenticated
from mesh.ids import new_object_id
from mesh.logs import get_logger
from mesh.readiness import Readiness
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from parley.common.v1.error_pb2 import ErrorReason
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub
from parley.notify.v1.webhook_service_pb2_grpc import WebhookServiceStub

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_PREFLIGHT_SECONDS: Final = 600
_ALLOWED_HEADERS: Final = "Authorization, Content-Type, X-Request-Id, traceparent"
# A year, and this host alone: what else the domain serves is not ours to decide.
_TRANSPORT_SECURITY: Final = "max-age=31536000"
# Answering while a client still sends closes the connection, and many clients then miss the answer. So bodies
# that are somewhat too large are read to their end.
_PATIENCE_BYTES: Final = 1 << 20

_log = get_logger()


@dataclass(frozen=True, slots=True)
class RestDeps:
    """What the handlers work with. Stubs must raise ``ParleyError``s, as those on ``mesh.rpc`` do."""

    chat: ChatServiceStub
    notify: NotifyServiceStub
    webhooks: WebhookServiceStub
    verifier: TokenVerifier
    revocations: Revocations
    readiness: Readiness
    origins: OriginPolicy
    max_body_bytes: int
    proxies: TrustedProxies
    dev_tokens: DevTokens | None = None
    traces: ClientTraces = field(default_factory=partial(ClientTraces, 0))


# Streaming lets a request be refused (401, 405) before its body is read, and one too large before it is held.
@stream_request_body
class RestHandler(RequestHandler):
    """Request id, CORS, authentication, limits, errors and security headers.

    A subclass declares its path and operations, and has one method per operation, named as the HTTP verb.
    What that raises becomes the answer.
    """

    path: ClassVar[str]
    """A template with parameters in braces, the same one that the OpenAPI document shows."""
    operations: ClassVar[tuple[Operation, ...]] = ()
    """What is served at the path; nothing else is."""

    def initialize(self, deps: RestDeps) -> None:
        """Receives what the route was registered with."""
        self.deps = deps
        self._body = bytearray()
        self._received = 0
        self._identity: Identity | None = None
        self._in_path: dict[str, str] = {}
        self._span: tracing.Span | None = None

    @property
    def user_id(self) -> str:
        """The user who asks. Only where that takes a token."""
        if self._identity is None:
            raise RuntimeError("a public handler asked for its user")
        return self._identity.user_id

    @property
    def request_id(self) -> str:
        """Names this request in the answer and in the log; the client's own if it sent a usable one."""
        known = self.request.headers.get("X-Request-Id", "")
        if not _REQUEST_ID.fullmatch(known):
            known = self.request.headers["X-Request-Id"] = new_object_id()
        return known

    def set_default_headers(self) -> None:
        """Runs before everything else, and again before an error is written."""
        self.clear_header("Server")
        self.set_header("X-Request-Id", self.request_id)
        for name, value in SAFE_HEADERS.items():
            self.set_header(name, value)

    async def prepare(self) -> None:
        """Decides from the headers alone whether the request goes on."""
        self._suit_headers()
        check_head(self.request)
        if self.request.method not in (*self.methods(), "OPTIONS"):
            raise HTTPError(HTTPStatus.METHOD_NOT_ALLOWED)
        self._begin_span()
        if announced_length(self.request) > self._most_read:
            raise too_large(self.deps.max_body_bytes)
        # The verbs' methods take parameters by their declaration, so Tornado is to hand them none.
        self._in_path, self.path_kwargs = self.path_kwargs, {}
        if self.request.method != "OPTIONS" and self.operation.access is not Access.PUBLIC:
            token = extract_token(authorization=self.request.headers.get("Authorization"))
            identity = await self.deps.verifier.verify(token)
            await self.deps.revocations.check(identity)
            if self.operation.access is Access.OPERATOR and OPERATOR_SCOPE not in identity.scopes:
                raise PermissionDenied(
                    ErrorReason.ERROR_REASON_PERMISSION_DENIED, f"this takes the scope {OPERATOR_SCOPE}"
                )
            self._identity = identity

    def data_received(self, chunk: bytes) -> None:
        """Collects the body. What is over the limit is read and dropped, so that the refusal can be read."""
        self._received += len(chunk)
        if self._received <= self.deps.max_body_bytes:
            self._body += chunk
        elif self._received > self._most_read and not self._finished:
            error = too_large(self.deps.max_body_bytes)
            self.send_error(exc_info=(type(error), error, None))

    async def head(self) -> None:
        """As GET without the body, wherever there is GET (RFC 9110 section 9.3.2)."""
        answered = self.get()
        if answered is not None:
            await answered

    def options(self) -> None:
        """A preflight of CORS: the browser asks what a page may do here."""
        self.set_header("Allow", ", ".join((*self.methods(), "OPTIONS")))
        if "Access-Control-Allow-Origin" in self._headers:
            self.set_header("Access-Control-Allow-Methods", ", ".join(self.methods()))
            self.set_header("Access-Control-Allow-Headers", _ALLOWED_HEADERS)
            self.set_header("Access-Control-Max-Age", str(_PREFLIGHT_SECONDS))
        self.set_status(HTTPStatus.NO_CONTENT)

    @classmethod
    def methods(cls) -> tuple[str, ...]:
        """The HTTP methods that this handler serves."""
        served: list[str] = []
        for operation in cls.operations:
            served += ("GET", "HEAD") if operation.method == "GET" else (operation.method,)
        return tuple(served)

    @property
    def operation(self) -> Operation:
        """What is asked for. Only once the method is known to be served."""
        method = "GET" if self.request.method == "HEAD" else self.request.method
        return next(operation for operation in self.operations if operation.method == method)

    def value(self, parameter: Parameter[ValueT]) -> ValueT:
        """What the request says for a parameter, which the operation must have declared.

        Raises:
            InvalidArgument: it is missing, there twice, or breaks its rule.
            HTTPError: it is not valid UTF-8.
        """
        if not any(declared is parameter for declared in self.operation.parameters):
            raise RuntimeError(f"{self.operation.name} does not declare {parameter.name}")
        name = parameter.name
        return parameter.value(self._in_path[name] if parameter.in_path else self.query(name))

    def query(self, name: str) -> str | None:
        """What the query string has for ``name``, to the letter; None where it has nothing.

        Raises:
            InvalidArgument: it is there twice.
            HTTPError: it is not valid UTF-8.
        """
        values = self.request.query_arguments.get(name, [])
        if len(values) > 1:
            raise invalid(f"{name} is there more than once")
        return self.decode_argument(values[0], name) if values else None

    def body(self, kind: type[BodyT]) -> BodyT:
        """The body of the request, of the kind that the operation declares.

        Raises:
            InvalidArgument: it is too large, not JSON, or not of that kind.
        """
        if kind is not self.operation.body:
            raise RuntimeError(f"{self.operation.name} does not declare {kind.__name__}")
        if self._received > self.deps.max_body_bytes:
            raise too_large(self.deps.max_body_bytes)
        return parse_body(bytes(self._body), kind)

    def answer(self, answer: msgspec.Struct, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Ends the request with a JSON body."""
        self.set_status(status)
        _ = self.finish(msgspec.json.encode(answer))

    def answer_nothing(self) -> None:
        """Ends the request: it was done, and there is nothing to say."""
        self.set_status(HTTPStatus.NO_CONTENT)
        _ = self.finish()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Called by Tornado with what was raised, here or in its own code."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, Unauthenticated) and self._identity is not None:
            # The user had proved who it is: it is this edge that the service behind did not accept.
            _log.error("http.edge_refused", request_id=self.request_id, error=error.message)
            error = Internal(ErrorReason.ERROR_REASON_INTERNAL, f"internal error; request {self.request_id}")
        status, failure = failure_of(error, status_code, self.request_id)
        self._suit_headers()
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join((*self.methods(), "OPTIONS")))
        if status == HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", "Bearer")
        if failure.retry_after_ms > 0:
            self.set_header("Retry-After", str(math.ceil(failure.retry_after_ms / 1000)))
        self.refuse(failure, HTTPStatus(status))

    def refuse(self, failure: ParleyError, status: HTTPStatus) -> None:
        """Ends the request with an error."""
        self.answer(ErrorAnswer(error=error_json(failure)), status)

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Expected refusals are answers, not log lines."""
        if not isinstance(value, ParleyError | HTTPError):
            _log.error("http.unexpected_error", request_id=self.request_id, exc_info=(typ, value, tb))

    def compute_etag(self) -> None:
        """None: the answers are not to be cached, so hashing them is wasted."""

    def on_finish(self) -> None:
        """Measures. The label is the handler's class: paths hold ids, and unknown methods are endless."""
        method = self.request.method if self.request.method in self.methods() else "other"
        HTTP_SECONDS.labels(type(self).__name__, method, str(self.get_status())).observe(
            self.request.request_time()
        )
        if self._span is not None:
            self._span.set("http.response.status_code", self.get_status())
            if self.get_status() >= HTTPStatus.INTERNAL_SERVER_ERROR:
                self._span.fail(str(self.get_status()))
            self._span.end()

    def _begin_span(self) -> None:
        # Tornado awaits this and the verb's method in one task.
        self._span = self.deps.traces.begin(
            f"{self.request.method} {type(self).__name__}",
            self.request.headers.get(tracing.HEADER, ""),
            {"http.request.method": str(self.request.method), "parley.request_id": self.request_id},
        )
        if self._span is not None:
            self._span.make_current()

    @property
    def _most_read(self) -> int:
        return max(self.deps.max_body_bytes, _PATIENCE_BYTES)

    @property
    def secure(self) -> bool:
        """Whether the client came by TLS, to the edge or to a proxy that is believed."""
        request = self.request
        forwarded = request.headers.get_list("X-Forwarded-Proto")
        return self.deps.proxies.secure(request.remote_ip or "", request.protocol, forwarded)

    def _suit_headers(self) -> None:
        """Adds the headers that depend on who asks."""
        if self.secure:  # over plain HTTP it must not be sent (RFC 6797 section 7.2)
            self.set_header("Strict-Transport-Security", _TRANSPORT_SECURITY)
        self.set_header("Vary", "Origin")
        origin = self.request.headers.get("Origin")
        if origin is not None and self.deps.origins.allows(origin):
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")


class NotFoundHandler(RestHandler):
    """For every path that nothing else serves."""

    async def prepare(self) -> None:
        """Refuses."""
        check_head(self.request)
        raise HTTPError(HTTPStatus.NOT_FOUND)
