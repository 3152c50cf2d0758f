"""Says in plain words where a body does not fit its type, and what would.

What msgspec says itself is for Python programs: ``Expected `str`, got `int` - at `$.name```.
"""

import re
from functools import cache
from typing import Final

import msgspec
from msgspec import inspect

_PROBLEM: Final = re.compile(r"(?P<problem>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_STEP: Final = re.compile(r"[^.\[\]]+")
_LONGEST_NAME: Final = 64
_BODY: Final = "the body"
_shape_of: Final = cache(inspect.type_info)


def explain(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """What is wrong with a JSON text that was to be a ``kind``; the message begins with the field's path."""
    if isinstance(error.__cause__, ValueError):
        return str(error.__cause__)  # a rule of the type's own, in our words already
    problem, path = split(str(error))
    if missing := _MISSING.fullmatch(problem):
        return f"{path}.{missing[1]} is missing".removeprefix(".")
    if unknown := _UNKNOWN.fullmatch(problem):
        return f"`{unknown[1][:_LONGEST_NAME]}` is not a field of {path or _BODY}"
    return f"{path or _BODY} must be {_rule(_type_at(_shape_of(kind), path))}"


def split(message: str) -> tuple[str, str]:
    """The problem and the path in a message of msgspec's form; the path is empty for the whole text."""
    found = _PROBLEM.fullmatch(message)
    if found is None:
        return message, ""
    return found["problem"], (found["path"] or "").removeprefix(".")


def _type_at(found: inspect.Type, path: str) -> inspect.Type:
    for step in _STEP.findall(path):
        found = _inner(found, step)
    return found


def _inner(found: inspect.Type, step: str) -> inspect.Type:
    match found:
        case inspect.Metadata():
            return _inner(found.type, step)
        case inspect.UnionType():
            whole = next(each for each in found.types if not isinstance(each, inspect.NoneType))
            return _inner(whole, step)
        case inspect.ListType():
            return found.item_type
        case inspect.StructType():
            return next(field.type for field in found.fields if field.encode_name == step)
    raise TypeError(f"a body has no fields in a {type(found).__name__}")


def _rule(found: inspect.Type) -> str:
    match found:
        case inspect.Metadata(type=inner, extra=extra):
            rule = str(extra["rule"]) if extra else _rule(inner)
        case inspect.UnionType(types=types):
            rule = " or ".join(map(_rule, types))
        case inspect.LiteralType(values=values):
            rule = f"one of {', '.join(map(str, values))}"
        case inspect.StrType(min_length=least, max_length=most):
            rule = "a text" + _length(least, most, " characters")
        case inspect.ListType(min_length=least, max_length=most):
            rule = "a list" + _length(least, most, "")
        case inspect.BoolType():
            rule = "true or false"
        case inspect.NoneType():
            rule = "null"
        case inspect.StructType():
            rule = "a JSON object"
        case _:
            raise TypeError(f"there are no words for a {type(found).__name__} in a body")
    return rule


def _length(least: int | None, most: int | None, unit: str) -> str:
    if most is None:
        return ""
    return f" of {least} to {most}{unit}" if least else f" of at most {most}{unit}"
