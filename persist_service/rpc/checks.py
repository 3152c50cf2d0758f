"""What is checked of every request before a use case sees it."""

from collections.abc import Sequence

from contract.user_ids import USER_ID_RULE, is_user_id
from mesh.errors import InvalidArgument
from mesh.ids import is_object_id
from parley.common.v1.error_pb2 import ErrorReason


def chat_id(text: str, name: str = "chat_id") -> str:
    """An id of a chat. Raises ``InvalidArgument``, as everything here does."""
    if not is_object_id(text):
        raise _invalid(f"{name} is not 24 lower-case hex digits")
    return text


def user_id(text: str, name: str = "user_id") -> str:
    """An id of a user."""
    if not is_user_id(text):
        raise _invalid(f"{name} {USER_ID_RULE}")
    return text


def user_ids(texts: Sequence[str], name: str, least: int, most: int) -> Sequence[str]:
    """Ids of users, without repeats."""
    count_within(texts, name, least, most)
    if len(set(texts)) != len(texts):
        raise _invalid(f"{name} holds a user twice")
    return [user_id(text, name) for text in texts]


def text_within(text: str, name: str, least: int, most: int) -> str:
    """A text of that many characters."""
    if not least <= len(text) <= most:
        raise _invalid(f"{name} has not {least} to {most} characters")
    return text


def number_within(number: int, name: str, least: int, most: int) -> int:
    """A number in that range."""
    if not least <= number <= most:
        raise _invalid(f"{name} is not within {least} and {most}")
    return number


def count_within(items: Sequence[object], name: str, least: int, most: int) -> None:
    """A list of that many items."""
    if not least <= len(items) <= most:
        raise _invalid(f"{name} has not {least} to {most} items")


def different(one: str, other: str, names: str) -> None:
    """Two values that must differ."""
    if one == other:
        raise _invalid(f"{names} are equal")


def _invalid(message: str) -> InvalidArgument:
    return InvalidArgument(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, message)
