"""The Python type of a field: what it holds, within which limits, and what it is for."""

from typing import Final

from codegen.load import camel
from codegen.schema import Enum, Field, Message, Schema, Value

_SCALARS: Final = {"string": "str", "bool": "bool", "int": "int", "float": "float", "bytes": "bytes"}


def annotation(schema: Schema, field: Field) -> str:
    """The type of a property that clients see; what may be absent may be None, or unset."""
    about = repr(field.shown_about)
    if field.repeated:
        limits = {"min_length": field.limits.min_items, "max_length": field.limits.max_items}
        kind = _annotated(f"list[{limited(schema, field)}]", **_set(limits), description=about)
    else:
        kind = _annotated(_type(schema, field), **_limits(field), description=about)
    if field.json.omit_absent:
        return f"{kind} | UnsetType"
    return f"{kind} | None" if field.optional else kind


def default(schema: Schema, field: Field) -> str | None:
    """What a property is when it is left out; None for one that must be there."""
    if field.json.omit_absent:
        return "UNSET"
    if field.json.required:
        return None
    if field.optional:
        return "None"
    if field.repeated:
        return "[]"
    if field.kind == "enum":
        return repr(schema.enum_of(field).names.otherwise)
    return {"string": '""', "bool": "False"}.get(field.kind, "0")


def limited(schema: Schema, field: Field) -> str:
    """The type of one value of a field."""
    limits = _limits(field)
    return _annotated(_type(schema, field), **limits) if limits else _type(schema, field)


def rules(schema: Schema) -> Enum:
    """The rules that texts of several fields keep."""
    return schema.enums["parley.common.v1.TextRule"]


def rule_of(schema: Schema, field: Field) -> Value:
    """The rule that a field's text keeps."""
    return next(value for value in rules(schema).values if value.number == field.limits.rule)


def rule_name(rule: Value) -> str:
    """The name of a rule's type."""
    return camel(rule.name.lower())


def pattern(rule: Value) -> str:
    r"""The regular expression with anchors: `\Z`, for Python's `$` lets a newline pass."""
    return f"^{rule.text.pattern}\\Z"


def choices(schema: Schema, message: Message) -> str:
    """The type of a message that shows one of several."""
    (oneof,) = message.oneofs
    return " | ".join(limited(schema, field) for field in oneof.fields)


def _type(schema: Schema, field: Field) -> str:
    if field.kind == "message":
        return schema.message_of(field).name
    if field.kind == "enum":
        enum = schema.enum_of(field)
        return "str" if enum.is_open else enum.name
    if field.json.rfc3339:
        return "Timestamp"
    return rule_name(rule_of(schema, field)) if field.limits.rule else _SCALARS[field.kind]


def _limits(field: Field) -> dict[str, str]:
    limits = field.limits
    if limits.max:
        return {"ge": str(limits.min), "le": str(limits.max)}
    return _set({"min_length": limits.min_length, "max_length": limits.max_length})


def _set(limits: dict[str, int]) -> dict[str, str]:
    return {name: str(limit) for name, limit in limits.items() if limit}


def _annotated(kind: str, **meta: str) -> str:
    return f"Annotated[{kind}, Meta({', '.join(f'{name}={value}' for name, value in meta.items())})]"
