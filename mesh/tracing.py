"""Traces: what one message, or one request, went through, from process to process.

Off until ``mesh.lifecycle`` turns them on. Whether a trace is recorded is decided once, where it begins;
what is not recorded has no span, sends no ``traceparent`` and costs a comparison or two. So every span here
is one that is recorded, and None stands for all others.

Nothing of what users write goes into a span, nor the text of an error, which may quote it.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Self

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace import Span as RecordedSpan

from mesh.errors import ParleyError
from mesh.traceparent import Parent, parse, write

HEADER: Final = "traceparent"
"""Of HTTP requests, gRPC metadata and RabbitMQ messages."""
MAX_LINKS: Final = 64
"""A batch of more traces than this names the first ones."""

Attributes = Mapping[str, str | int]
Kind = SpanKind

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_NOTHING: Final[AbstractContextManager[None]] = nullcontext()
_CURRENT: "ContextVar[Span | None]" = ContextVar("parley_span", default=None)

_tracer: Tracer | None = None
_share = 0.0


class Span:
    """One piece of work in a trace that is recorded. Enter it, or ``end`` it; both is fine."""

    __slots__ = ("_ended", "_span", "_token", "traceparent")

    def __init__(self, span: RecordedSpan) -> None:
        self._span = span
        self._ended = False
        self._token: Token[Span | None] | None = None
        context = span.get_span_context()
        self.traceparent: Final = write(context.trace_id, context.span_id)

    @property
    def ended(self) -> bool:
        """Whether it is over: what goes on after it is no part of it."""
        return self._ended

    def set(self, name: str, value: str | int) -> None:
        """Adds a fact: an id, a number, a name of ours; never what a user wrote."""
        self._span.set_attribute(name, value)

    def link(self, other: "Span") -> None:
        """Points to a span of another trace that had a part in it; within one trace, parents tell it."""
        there = other._span.get_span_context()  # noqa: SLF001 - of the same class
        if there.trace_id != self._span.get_span_context().trace_id:
            self._span.add_link(there)

    def fail(self, error: BaseException | str) -> None:
        """Says that it failed, by the code or the type of the error."""
        self._span.set_status(Status(StatusCode.ERROR, error if isinstance(error, str) else _kind_of(error)))

    def end(self) -> None:
        """It is over; once is enough."""
        if not self._ended:
            self._ended = True
            self._span.end()

    def make_current(self) -> None:
        """Makes it the span of the current task, for good."""
        _CURRENT.set(self)

    def __enter__(self) -> Self:
        self._token = _CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _CURRENT.reset(self._token)
            self._token = None
        if error is not None:
            self.fail(error)
        self.end()


def turn_on(tracer: Tracer, share: float) -> None:
    """Records a ``share`` (0 to 1) of the traces that begin here, and all that others began to record."""
    global _tracer, _share
    _tracer, _share = tracer, share


def turn_off() -> None:
    """No span begins from now on."""
    global _tracer  # noqa: PLW0603 - one switch for the process, as for its logs
    _tracer = None


def on() -> bool:
    """Whether there may be spans at all. The first question wherever there is much to do."""
    return _tracer is not None


def current() -> Span | None:
    """The span of the current task; None when it is over, or nothing is recorded."""
    if _tracer is None:
        return None
    span = _CURRENT.get()
    return None if span is None or span.ended else span


def begin(
    name: str, *, parent: str = "", kind: Kind = Kind.INTERNAL, attributes: Attributes | None = None
) -> Span | None:
    """Where something comes in. ``parent`` decides whether it is recorded; without one, chance does."""
    if _tracer is None:
        return None
    above = parse(parent)
    if above is None:
        above_context = Context()
        if random.random() >= _share:  # noqa: S311 - a sample, not a secret
            return None
    elif above.sampled:
        above_context = _below(above)
    else:
        return None
    return Span(_tracer.start_span(name, above_context, kind, attributes))


def follow(
    name: str, parent: str, *, kind: Kind = Kind.INTERNAL, attributes: Attributes | None = None
) -> Span | None:
    """What goes on with something that came here with its ``traceparent``.

    Where the current span, a batch say, is of another trace, it links to that.
    """
    if _tracer is None or (above := parse(parent)) is None or not above.sampled:
        return None
    span = Span(_tracer.start_span(name, _below(above), kind, attributes))
    around = current()
    if around is not None:
        span.link(around)
    return span


def together(
    name: str,
    parents: Iterable[str],
    *,
    kind: Kind = Kind.INTERNAL,
    attributes: Attributes | None = None,
) -> Span | None:
    """One piece of work for all of ``parents``, those of them that are recorded.

    Where they are of one trace it is a part of that. Where several traces meet it begins a trace of its own,
    and links to all of them: a span has one parent.
    """
    if _tracer is None:
        return None
    above = {parent for text in parents if text and (parent := parse(text)) and parent.sampled}
    if not above:
        return None
    first, *others = sorted(above, key=lambda parent: (parent.trace_id, parent.span_id))[:MAX_LINKS]
    if all(parent.trace_id == first.trace_id for parent in others):
        return Span(_tracer.start_span(name, _below(first), kind, attributes, _links(others)))
    return Span(_tracer.start_span(name, Context(), kind, attributes, _links([first, *others])))


def step(
    name: str,
    *,
    kind: Kind = Kind.INTERNAL,
    attributes: Attributes | None = None,
    links: Iterable[str] = (),
) -> Span | None:
    """A part of what the current span is; None where nothing is recorded."""
    if _tracer is None or (above := current()) is None or (parent := parse(above.traceparent)) is None:
        return None
    return Span(_tracer.start_span(name, _below(parent), kind, attributes, _links(map(parse, links))))


def child(
    name: str,
    *,
    kind: Kind = Kind.INTERNAL,
    attributes: Attributes | None = None,
    links: Iterable[str] = (),
) -> AbstractContextManager[Span | None]:
    """A ``step``, to be entered."""
    if _tracer is None:
        return _NOTHING
    return within(step(name, kind=kind, attributes=attributes, links=links))


def within(span: Span | None) -> AbstractContextManager[Span | None]:
    """Enters a span if there is one."""
    return _NOTHING if span is None else span


def ending(spans: Sequence[Span]) -> AbstractContextManager[None]:
    """Ends them all, as failed if it fails; none of them is made the current one."""
    return _ending(spans) if spans else _NOTHING


@contextmanager
def _ending(spans: Sequence[Span]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        for span in spans:
            span.fail(error)
        raise
    finally:
        for span in spans:
            span.end()


def _below(parent: Parent) -> Context:
    return set_span_in_context(NonRecordingSpan(_context_of(parent)), Context())


def _links(parents: Iterable[Parent | None]) -> list[Link]:
    return [Link(_context_of(parent)) for parent in parents if parent is not None][:MAX_LINKS]


def _context_of(parent: Parent) -> SpanContext:
    return SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=_SAMPLED)


def _kind_of(error: BaseException) -> str:
    return error.code if isinstance(error, ParleyError) else type(error).__name__
