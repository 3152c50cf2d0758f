"""The failures of this service's own rules."""

from mesh.errors import FailedPrecondition, NotFound
from parley.common.v1.error_pb2 import ErrorReason


class ChatNotFound(NotFound):
    """No such chat."""

    def __init__(self) -> None:
        super().__init__(ErrorReason.ERROR_REASON_CHAT_NOT_FOUND, "there is no such chat")


class MessageNotFound(NotFound):
    """No such message in that chat."""

    def __init__(self) -> None:
        super().__init__(ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND, "there is no such message in that chat")


class WrongChatType(FailedPrecondition):
    """Members of a direct chat never change."""

    def __init__(self) -> None:
        super().__init__(ErrorReason.ERROR_REASON_WRONG_CHAT_TYPE, "the chat is not a group")


class LastAdmin(FailedPrecondition):
    """The group would have members and no admin."""

    def __init__(self) -> None:
        super().__init__(ErrorReason.ERROR_REASON_LAST_ADMIN, "the group would have no admin left")


class TooManyGroups(FailedPrecondition):
    """A user is in as many groups as strangers may add to; ``place`` is the user's in the request, from 0."""

    def __init__(self, place: int) -> None:
        super().__init__(
            ErrorReason.ERROR_REASON_TOO_MANY_GROUPS,
            f"user {place + 1} of those to be added is in as many unread groups as strangers may add to",
        )


class ChatFull(FailedPrecondition):
    """The group is at its limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(ErrorReason.ERROR_REASON_CHAT_FULL, f"a group has at most {limit} members")
