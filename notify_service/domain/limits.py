"""Limits on what callers pass in, each broken one told by its field."""

from mesh.errors import InvalidArgument
from parley.common.v1.error_pb2 import ErrorReason

MAX_USER_ID = 128


def invalid(message: str) -> InvalidArgument:
    """INVALID_ARGUMENT with a message that begins with the field's name."""
    return InvalidArgument(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, message)


def require_length(field: str, value: str, least: int, most: int) -> None:
    """Raises `InvalidArgument` unless `value` has `least` to `most` characters."""
    if not least <= len(value) <= most:
        raise invalid(f"{field}: must have {least} to {most} characters, has {len(value)}")


def require_user_id(user_id: str) -> None:
    """Raises `InvalidArgument` unless it can be the id of a user."""
    require_length("user_id", user_id, 1, MAX_USER_ID)
