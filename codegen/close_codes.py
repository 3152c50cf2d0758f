"""Writes `close_codes.py`: what the edge closes a WebSocket with."""

from typing import Final

from codegen.protocol import PACKAGE
from codegen.schema import Schema

_HEADER: Final = '''\
"""Every code that the edge closes a WebSocket with, and the errors that end a session with it.

Written by `codegen` from `protos/parley/edge/v1`.
"""

from enum import IntEnum
from typing import Final, Self

from parley.common.v1.error_pb2 import ErrorReason


class CloseCode(IntEnum):
    """A close code. `reason` is sent along unless there is a better one."""

    reason: str

    def __new__(cls, code: int, reason: str) -> Self:
        """Makes the number the value, and the reason an attribute."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.reason = reason
        return member
'''


def write(schema: Schema) -> str:
    """The source of the module."""
    codes = [code for code in schema.enums[f"{PACKAGE}.CloseCode"].values if code.close.reason]
    reasons = {value.number: value.name for value in schema.enums["parley.common.v1.ErrorReason"].values}
    lines = [_HEADER]
    for code in codes:
        lines += [f"    {code.name} = {code.number}, {code.close.reason!r}", f'    """{code.about}"""']
    lines += ["", "", "CLOSE_CODE_OF: Final[dict[ErrorReason.ValueType, CloseCode]] = {"]
    lines += [
        f"    ErrorReason.ERROR_REASON_{reasons[reason]}: CloseCode.{code.name},"
        for code in codes
        for reason in code.close.of
    ]
    lines += ["}", '"""The errors that end a session with a code of their own."""', ""]
    return "\n".join(lines)
