"""Every door takes the same user ids, and the same texts."""

import argparse
from collections.abc import Callable
from contextlib import suppress

import pytest

from admin.command import user_id as admin_argument
from chat_service.domain import rules
from chat_service.domain.model import Group, GroupSettings
from contract.user_ids import is_user_id
from edge.identity.keys import FixedKey, Key
from edge.identity.verifier import JwtVerifier, TokenRules
from edge.rest.bodies import CreateChatBody
from edge.rest.operation import Parameter
from edge.rest.parameters import USER_ID
from mesh.amqp.batches import BadItemError
from mesh.errors import InvalidArgument, ParleyError
from notify_service.domain.limits import require_label, require_user_id
from notify_service.email.unsubscribe import UnsubscribeTokens
from parley.common.v1.error_pb2 import ErrorReason
from parley.common.v1.message_pb2 import MESSAGE_TYPE_TEXT, Message
from parley.events.v1 import jobs_pb2
from persist_service.consumers.codecs import READ
from persist_service.rpc import checks
from tests.unit.edge.identity.conftest import SECRET, signed

IDS = (
    *(
        "ada",
        "zoë\u00a0k",
        "ann\u3000lee",
        "\u0645\u06cc\u200c\u062e\u0648",
        "👨‍👩‍👧‍👦",
        "so\u00adft",
        "\ue000",
    ),
    *("\U0001fae9", "\U0001f8ff", "🙂" * 128, " a ", "a\u0301"),
    *("", "x" * 129, "a\nb", "a\x1f", "a\u2028", "a\u202e", "a\u200f"),
    *("\u200b", "\u3164", "\u2800", " ", "\u00a0"),
)


def _pointer(user_id: str) -> None:
    READ.read(jobs_pb2.Pointer(chat_id="0" * 24, user_id=user_id, read_seq=1, read_number=1, at_ms=1))


def _unsubscribe(user_id: str) -> None:
    tokens = UnsubscribeTokens(SECRET)
    tokens.user_id(tokens.token(user_id))


DOORS: dict[str, Callable[[str], object]] = {
    "REST body": CreateChatBody,
    "REST path": Parameter("userId", "Who.", USER_ID, in_path=True).value,
    "chat_service": lambda user_id: rules.check_user_id(user_id, "userId"),
    "persist_service": checks.user_id,
    "broker": _pointer,
    "notify_service": require_user_id,
    "unsubscribe link": _unsubscribe,
    "admin": admin_argument,
}


@pytest.mark.parametrize("user_id", IDS, ids=ascii)
@pytest.mark.parametrize("door", DOORS)
def test_one_rule_for_user_ids(door: str, user_id: str) -> None:
    taken = False
    with suppress(ParleyError, ValueError, argparse.ArgumentTypeError, BadItemError):
        DOORS[door](user_id)
        taken = True
    assert taken is is_user_id(user_id)


@pytest.mark.parametrize("user_id", IDS, ids=ascii)
async def test_tokens_have_the_same_rule(user_id: str) -> None:
    verifier = JwtVerifier(FixedKey(Key(SECRET, ("HS256",))), TokenRules())
    taken = ""
    with suppress(ParleyError):
        taken = (await verifier.verify(signed(sub=user_id))).user_id
    assert taken == (user_id if is_user_id(user_id) else "")


NOTHING = (
    *("\u200b", "\u2060", "\ufeff", "\u00ad", "\u3164", "\u2800", "\u115f"),
    *("\u180e", "\u202e", "\x01\x7f", " \n"),
)
SOMETHING = ("👨‍👩‍👧‍👦", "\u0645\u06cc\u200c\u062e\u0648", "e\u0301", "\u200f\u05d0", "\U0001f8ff", "❤\ufe0f")


def message(content: str) -> Message:
    return Message(
        sender_id="ada", chat_id="0" * 24, type=MESSAGE_TYPE_TEXT, content=content, client_msg_id="key"
    )


@pytest.mark.parametrize("nothing", NOTHING, ids=ascii)
def test_content_and_names_that_show_nothing_are_refused(nothing: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        rules.check_message(message(nothing * 3), 4_096)
    assert refused.value.reason == ErrorReason.ERROR_REASON_INVALID_CONTENT
    for group in (
        Group(nothing, "", "", GroupSettings(), ()),
        Group("Crew", nothing, "", GroupSettings(), ()),
    ):
        with pytest.raises(InvalidArgument):
            rules.check_group(group)
    with pytest.raises(InvalidArgument):
        require_label("label", nothing, 100)


@pytest.mark.parametrize("shown", SOMETHING, ids=ascii)
def test_what_shows_something_is_taken(shown: str) -> None:
    rules.check_message(message(shown), 4_096)
    rules.check_group(Group(shown, shown, "", GroupSettings(), ()))
    require_label("label", shown, 100)
