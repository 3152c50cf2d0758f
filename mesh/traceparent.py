"""The W3C ``traceparent`` header (Trace Context, level 2), as it stands in frames, calls and messages."""

import re
from dataclasses import dataclass
from typing import Final

_SAMPLED: Final = 0x01
# Section 2.2: version, trace id, parent id, flags. A later version may have more behind another dash.
_HEADER: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MAX_LENGTH: Final = 256


@dataclass(frozen=True, slots=True)
class Parent:
    """Whose part something is, and whether the trace is recorded."""

    trace_id: int
    span_id: int
    sampled: bool


def parse(header: str) -> Parent | None:
    """What a header says; None where it is not one: then it is to be ignored (section 4.3)."""
    if not header or len(header) > _MAX_LENGTH:
        return None
    found = _HEADER.fullmatch(header)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    parent = Parent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED))
    return parent if parent.trace_id and parent.span_id else None


def write(trace_id: int, span_id: int) -> str:
    """The header of a trace that is recorded."""
    return f"00-{trace_id:032x}-{span_id:016x}-{_SAMPLED:02x}"
