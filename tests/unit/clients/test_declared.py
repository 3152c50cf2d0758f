"""The client's models are what the edge shows."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

from parley.edge.v1 import frames
from parley.edge.v1.close_codes import CloseCode
from parley_client import declared

AT: Final = "2026-01-31T12:00:00.250Z"
WHEN: Final = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
CHAT: Final[dict[str, Any]] = {
    "id": "c" * 24,
    "users": ["ada", "bob"],
    "created_at": AT,
    "updated_at": AT,
    "unread": 1,
    "seq": 2,
    "epoch": 3,
    "role": "member",
}


def json_of(shown: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(shown))


@pytest.mark.parametrize("epoch", [7, msgspec.UNSET])
def test_a_message(epoch: Any) -> None:
    message = declared.message_from(
        json_of(
            frames.Message(
                id="m",
                chat_id="c",
                seq=1,
                number=2,
                sender_id="ada",
                type="image",
                content="x",
                client_msg_id="k",
                created_at=AT,
                status="read",
                read_by=[frames.ReadReceipt(user_id="bob", read_at=AT)],
                mentions=["bob"],
                epoch=epoch,
            )
        )
        | {"later": "ignored"}
    )
    assert message == declared.Message(
        id="m",
        chat_id="c",
        seq=1,
        number=2,
        sender_id="ada",
        type="image",
        content="x",
        client_msg_id="k",
        created_at=WHEN,
        status="read",
        read_by=(declared.ReadReceipt("bob", WHEN),),
        mentions=("bob",),
        epoch=None if epoch is msgspec.UNSET else 7,
    )


def test_a_chat_is_of_its_kind() -> None:
    latest = frames.LatestMessage(text="hi", sender_id="bob", timestamp=AT, seq=1, type="text")
    direct = frames.DirectChat(**CHAT, latest_message=latest, online_user_ids=["bob"])
    group = frames.GroupChat(
        **CHAT,
        latest_message=None,
        name="Team",
        description="",
        avatar="",
        created_by="ada",
        owner_id="bob",
        members=[frames.Member(user_id="ada", role="admin", joined_at=AT)],
        member_count=9,
        settings=frames.GroupSettings(is_public=False, allow_invites=True),
    )
    one, other = declared.chat_from(json_of(direct)), declared.chat_from(json_of(group))
    assert isinstance(one, declared.DirectChat)
    assert one.latest_message == declared.LatestMessage("hi", "bob", WHEN, 1, "text")
    assert isinstance(other, declared.GroupChat)
    assert (other.latest_message, other.owner_id, other.settings.allow_invites) == (None, "bob", True)
    assert other.members == (declared.Member("ada", "admin", WHEN),)


@pytest.mark.parametrize("lost", ["chatId", "createdAt", "readBy"])
def test_what_lacks_something_is_refused(lost: str) -> None:
    with pytest.raises(KeyError):
        declared.message_from({"id": "m", **{name: [] for name in ("chatId", "seq") if name != lost}})


def test_close_codes_are_sorted_by_what_they_ask_for() -> None:
    asked = declared.FINAL_CLOSE_CODES | declared.NEW_TOKEN_CLOSE_CODES
    assert asked < {int(code) for code in CloseCode}
    assert not declared.FINAL_CLOSE_CODES & declared.NEW_TOKEN_CLOSE_CODES
    assert CloseCode.GOING_AWAY not in asked
