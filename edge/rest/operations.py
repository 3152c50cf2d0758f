"""Every operation of the API, as the OpenAPI document tells it and as the tests hold the handlers to it."""

from http import HTTPStatus
from typing import Final

from contract.user_ids import MAX_USER_ID_LENGTH
from edge.rest.bodies import (
    AddMembersBody,
    ChatAnswer,
    ChatsAnswer,
    CreateChatBody,
    CreateGroupBody,
    DevTokenAnswer,
    DevTokenBody,
    GroupAnswer,
    HealthAnswer,
    MembersAddedAnswer,
    MembersAnswer,
    MessagesAnswer,
    ReadyAnswer,
    SessionsAnswer,
)
from edge.rest.notification_operations import NOTIFICATION_OPERATIONS
from edge.rest.operation import ALWAYS, BODY, Operation, Parameter
from edge.rest.parameters import DEFAULT_LIMIT, MAX_CURSOR_LENGTH, MAX_LIMIT, MAX_PAGE, MAX_SEQ, ROLES
from edge.rest.webhook_operations import WEBHOOK_OPERATIONS

_CHAT: Final = Parameter("chatId", "The chat.", {"type": "string", "pattern": "^[0-9a-f]{24}$"}, in_path=True)
_USER: Final = Parameter(
    "userId",
    "The member, percent-encoded.",
    {"type": "string", "minLength": 1, "maxLength": MAX_USER_ID_LENGTH},
    in_path=True,
)
_USER_IN_QUERY: Final = Parameter(
    "userId", "The member, percent-encoded (`+` is a space).", _USER.schema, required=True
)
_CONNECTION: Final = Parameter(
    "connectionId", "The connection.", {"type": "string", "pattern": "^[0-9a-f]{24}$"}, in_path=True
)
_UNSUBSCRIBE_TOKEN: Final = Parameter(
    "token", "The token of the link.", {"type": "string", "minLength": 1, "maxLength": 1024}, required=True
)
_LIMIT: Final = Parameter(
    "limit",
    "How many at most.",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
)
_CURSOR: Final = Parameter(
    "cursor",
    "Where to go on: the `nextCursor` of the page before. Read nothing in it.",
    {"type": "string", "minLength": 1, "maxLength": MAX_CURSOR_LENGTH},
)
_ROLE: Final = Parameter(
    "role", "Only the members with this role.", {"type": "string", "enum": sorted(ROLES)}
)
_BEFORE: Final = Parameter(
    "before",
    "Messages with a smaller `seq` only: the first `seq` of the page before this one.",
    {"type": "integer", "minimum": 1, "maximum": MAX_SEQ},
)
_PAGE: Final = Parameter(
    "page",
    "Page counted from the newest message, instead of `before`. Pages shift when messages arrive.",
    {"type": "integer", "minimum": 1, "maximum": MAX_PAGE},
)

_OF_CHAT: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)

OPERATIONS: Final = (
    Operation(
        name="listChats",
        method="get",
        path="/api/v1/chats",
        summary="A page of the user's chats, the last changed first",
        parameters=(_LIMIT, _CURSOR),
        answers={HTTPStatus.OK: ChatsAnswer},
        errors=(*ALWAYS, HTTPStatus.BAD_REQUEST),
    ),
    Operation(
        name="createChat",
        method="post",
        path="/api/v1/chats",
        summary="Make the direct chat with a user (201), or find it (200); there is one per pair",
        body=CreateChatBody,
        answers={HTTPStatus.OK: ChatAnswer, HTTPStatus.CREATED: ChatAnswer},
        errors=(*ALWAYS, *BODY),
    ),
    Operation(
        name="createGroup",
        method="post",
        path="/api/v1/groups",
        summary="Make a group; a repeat makes another one",
        body=CreateGroupBody,
        answers={HTTPStatus.CREATED: GroupAnswer},
        errors=(*ALWAYS, *BODY, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="getChat",
        method="get",
        path="/api/v1/chats/{chatId}",
        summary="One chat",
        parameters=(_CHAT,),
        answers={HTTPStatus.OK: ChatAnswer},
        errors=(*ALWAYS, *_OF_CHAT),
    ),
    Operation(
        name="listMessages",
        method="get",
        path="/api/v1/chats/{chatId}/messages",
        summary="A page of history, the oldest message first",
        parameters=(_CHAT, _LIMIT, _BEFORE, _PAGE),
        answers={HTTPStatus.OK: MessagesAnswer},
        errors=(*ALWAYS, *_OF_CHAT),
    ),
    Operation(
        name="listMembers",
        method="get",
        path="/api/v1/chats/{chatId}/members",
        summary="A page of the members of a chat, in the order of joining",
        parameters=(_CHAT, _ROLE, _LIMIT, _CURSOR),
        answers={HTTPStatus.OK: MembersAnswer},
        errors=(*ALWAYS, *_OF_CHAT),
    ),
    Operation(
        name="addMembers",
        method="post",
        path="/api/v1/chats/{chatId}/members",
        summary="Add members to a group; those who are members already stay as they are",
        parameters=(_CHAT,),
        body=AddMembersBody,
        answers={HTTPStatus.OK: MembersAddedAnswer},
        errors=(*ALWAYS, *_OF_CHAT, HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ),
    Operation(
        name="leaveChat",
        method="delete",
        path="/api/v1/chats/{chatId}/members/me",
        summary="Leave a group",
        parameters=(_CHAT,),
        answers={HTTPStatus.NO_CONTENT: None},
        errors=(*ALWAYS, *_OF_CHAT, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="removeMember",
        method="delete",
        path="/api/v1/chats/{chatId}/members/{userId}",
        summary="Remove a member from a group; takes an admin. Not for every id: see `removeMemberById`",
        parameters=(_CHAT, _USER),
        answers={HTTPStatus.NO_CONTENT: None},
        errors=(*ALWAYS, *_OF_CHAT, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="removeMemberById",
        method="delete",
        path="/api/v1/chats/{chatId}/members",
        summary="Remove a member from a group, whatever its id is; takes an admin. In a path, libraries and "
        "proxies turn `%6De` into `me`, which leaves the group, resolve `.` and `..`, and cut at `%2F`",
        parameters=(_CHAT, _USER_IN_QUERY),
        answers={HTTPStatus.NO_CONTENT: None},
        errors=(*ALWAYS, *_OF_CHAT, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="listSessions",
        method="get",
        path="/api/v1/sessions",
        summary="The user's live connections, on all edges",
        answers={HTTPStatus.OK: SessionsAnswer},
        errors=ALWAYS,
    ),
    Operation(
        name="revokeSessions",
        method="delete",
        path="/api/v1/sessions",
        summary="End all live connections, and refuse every token issued so far, the one used here included",
        answers={HTTPStatus.NO_CONTENT: None},
        errors=ALWAYS,
    ),
    Operation(
        name="revokeSession",
        method="delete",
        path="/api/v1/sessions/{connectionId}",
        summary="End one live connection; its token stays good",
        parameters=(_CONNECTION,),
        answers={HTTPStatus.NO_CONTENT: None},
        errors=(*ALWAYS, HTTPStatus.BAD_REQUEST),
    ),
    *NOTIFICATION_OPERATIONS,
    *WEBHOOK_OPERATIONS,
    Operation(
        name="createDevToken",
        method="post",
        path="/api/v1/dev/token",
        summary="A token for any user; in development mode only, elsewhere 404",
        body=DevTokenBody,
        answers={HTTPStatus.OK: DevTokenAnswer},
        errors=(*BODY, HTTPStatus.NOT_FOUND),
        public=True,
    ),
    Operation(
        name="openDevConsole",
        method="get",
        path="/api/v1/dev/console",
        summary="A page of this origin for a browser's console; in development mode only, elsewhere 404",
        answers={HTTPStatus.OK: None},
        errors=(HTTPStatus.NOT_FOUND,),
        public=True,
        page=True,
    ),
    Operation(
        name="askToUnsubscribe",
        method="get",
        path="/api/v1/unsubscribe",
        summary="The page that the unsubscribe link of a mail leads to; changes nothing",
        parameters=(_UNSUBSCRIBE_TOKEN,),
        answers={HTTPStatus.OK: None},
        errors=(HTTPStatus.BAD_REQUEST,),
        public=True,
        page=True,
    ),
    Operation(
        name="unsubscribe",
        method="post",
        path="/api/v1/unsubscribe",
        summary="End the mails, from that page or in one click (RFC 8058); a body is not needed and not read",
        parameters=(_UNSUBSCRIBE_TOKEN,),
        answers={HTTPStatus.OK: None},
        errors=(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.INTERNAL_SERVER_ERROR,
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.GATEWAY_TIMEOUT,
        ),
        public=True,
        page=True,
    ),
    Operation(
        name="getHealth",
        method="get",
        path="/healthz",
        summary="Whether the process is alive",
        answers={HTTPStatus.OK: HealthAnswer},
        errors=(),
        public=True,
    ),
    Operation(
        name="getReadiness",
        method="get",
        path="/readyz",
        summary="Whether the process should be sent work",
        answers={HTTPStatus.OK: ReadyAnswer, HTTPStatus.SERVICE_UNAVAILABLE: ReadyAnswer},
        errors=(),
        public=True,
    ),
)
"""All of them, apart from the document itself."""
