"""The JSON bodies of requests and answers. The OpenAPI document is made from these types."""

from typing import Annotated, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from contract import limits
from contract.names import MAX_NAME_LENGTH
from contract.user_ids import MAX_USER_ID_LENGTH, USER_ID_RULE, is_user_id
from edge.protocol import surrogates
from edge.rest import body_errors
from edge.rest.errors import invalid, malformed
from parley.edge.v1.frames import Chat, Error, GroupChat, Member, Message, ObjectId, Timestamp

UserId: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_USER_ID_LENGTH,
        description=f"The `sub` of the user's token; it {USER_ID_RULE}.",
    ),
]

# RFC 6749 section 3.3.
Scope: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[!#-\[\]-~]{1,100}\Z",
        extra={"rule": "1 to 100 visible ASCII characters without quotation marks and backslashes"},
    ),
]
ChatId: TypeAlias = Annotated[ObjectId, Meta(extra={"rule": "24 lower-case hexadecimal digits"})]


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What clients send.

    A field that does not exist is refused: ignored, a misspelt `memberIds` would lose the members.
    """


class CreateChatBody(Request, frozen=True):
    """Makes or finds the direct chat with a user."""

    user_id: UserId

    def __post_init__(self) -> None:
        check_user_id("userId", self.user_id)


class GroupSettingsBody(Request, frozen=True, kw_only=True):
    """What the admins of a group decide."""

    is_public: Annotated[bool, Meta(description="Anyone may find and join the group.")] = False
    allow_invites: Annotated[bool, Meta(description="Members that are no admins may add others.")] = False


class CreateGroupBody(Request, frozen=True, kw_only=True):
    """Makes a group; whoever makes it is its first admin."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
    description: Annotated[str, Meta(max_length=limits.DESCRIPTION_LENGTH)] = ""
    member_ids: Annotated[
        list[UserId],
        Meta(
            max_length=limits.MEMBERS_PER_CALL,
            description="Other first members; repeats and the maker are ignored.",
        ),
    ] = msgspec.field(default_factory=list)
    avatar: Annotated[
        str, Meta(max_length=limits.AVATAR_LENGTH, description="URL or your own id of a picture.")
    ] = ""
    settings: GroupSettingsBody = GroupSettingsBody()

    def __post_init__(self) -> None:
        check_user_ids("memberIds", self.member_ids)


class AddMembersBody(Request, frozen=True):
    """Adds members to a group."""

    user_ids: Annotated[list[UserId], Meta(min_length=1, max_length=limits.MEMBERS_PER_CALL)]

    def __post_init__(self) -> None:
        check_user_ids("userIds", self.user_ids)


class DevTokenBody(Request, frozen=True, kw_only=True):
    """Asks for a token (development mode only)."""

    user_id: UserId
    name: Annotated[str, Meta(max_length=100)] = ""
    scopes: Annotated[
        list[Scope],
        Meta(max_length=20, description="What the token allows besides; operators need `parley.operator`."),
    ] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        check_user_id("userId", self.user_id)


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the API answers: a JSON object with camelCase names."""


class ChatsAnswer(Answer, frozen=True):
    """A page of the user's chats, the last changed first.

    Whoever goes on with `nextCursor` until that is null has seen every chat, however they moved meanwhile;
    one that moved may come again. A page before the last may be short, or empty.
    """

    chats: list[Chat]
    next_cursor: str | None


class MembersAnswer(Answer, frozen=True):
    """A page of members, in the order of joining; `nextCursor` is null when it is the last."""

    members: list[Member]
    next_cursor: str | None


class ChatAnswer(Answer, frozen=True):
    """One chat, as the user sees it."""

    chat: Chat


class GroupAnswer(Answer, frozen=True):
    """One group, as the user sees it."""

    group: GroupChat


class MembersAddedAnswer(Answer, frozen=True):
    """The group, and those who were no members before."""

    group: GroupChat
    added_ids: list[str]


class MessagesAnswer(Answer, frozen=True):
    """A page of history, the oldest message first."""

    messages: list[Message]
    has_more: bool


class SessionJson(Answer, frozen=True):
    """A live connection; its `welcome` told it this id."""

    connection_id: str


class SessionsAnswer(Answer, frozen=True):
    """The user's live connections, on all edges."""

    sessions: list[SessionJson]


class DevTokenAnswer(Answer, frozen=True):
    """A token for `Authorization: Bearer`."""

    token: str
    expires_at: Timestamp


class HealthAnswer(Answer, frozen=True):
    """The process is alive."""

    status: str = "alive"


class ReadyAnswer(Answer, frozen=True):
    """Whether the process should be sent work."""

    ready: bool


class ErrorAnswer(Answer, frozen=True):
    """Why the request was refused."""

    error: Error


BodyT = TypeVar("BodyT", bound=Request)


def parse_body(body: bytes, kind: type[BodyT]) -> BodyT:
    """The body as ``kind``.

    Raises:
        InvalidArgument: ``MALFORMED_FRAME``, not JSON; ``INVALID_ARGUMENT``, a field is missing or wrong.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise invalid(body_errors.explain(error, kind)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        halved = surrogates.explain(body.decode(errors="replace"))
        if halved is None:
            raise malformed("the body is not JSON in UTF-8") from error
        problem, path = body_errors.split(halved[0])
        raise invalid(f"{path or 'the body'}: {problem[0].lower()}{problem[1:]}") from error


def check_user_id(field: str, user_id: str) -> None:
    """For ``__post_init__``: raises ``ValueError``, which names the field, for what no user's id may hold."""
    # msgspec tells a ValueError of __post_init__ as a ValidationError.
    if not is_user_id(user_id):
        raise ValueError(f"{field} {USER_ID_RULE}")


def check_user_ids(field: str, user_ids: list[str]) -> None:
    """The same for a list of them; the error names the place in it."""
    for place, user_id in enumerate(user_ids):
        check_user_id(f"{field}[{place}]", user_id)
