"""Limits on what callers pass in, each broken one named by its field."""

from contract.text import is_visible
from contract.user_ids import USER_ID_RULE, is_user_id
from mesh.errors import InvalidArgument
from parley.common.v1.error_pb2 import ErrorReason


def invalid(message: str) -> InvalidArgument:
    """INVALID_ARGUMENT with a message that begins with the field's name."""
    return InvalidArgument(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, message)


def require_length(field: str, value: str, least: int, most: int) -> None:
    """Raises `InvalidArgument` unless `value` has `least` to `most` characters."""
    if not least <= len(value) <= most:
        raise invalid(f"{field}: must have {least} to {most} characters, has {len(value)}")


def require_user_id(user_id: str, field: str = "user_id") -> None:
    """Raises `InvalidArgument` unless it can be the id of a user."""
    if not is_user_id(user_id):
        raise invalid(f"{field}: {USER_ID_RULE}")


def require_label(field: str, label: str, most: int) -> None:
    """Raises `InvalidArgument` unless it is empty, or shows something and has up to `most` characters."""
    require_length(field, label, 0, most)
    if label and not is_visible(label):
        raise invalid(f"{field}: shows nothing; leave it out")
