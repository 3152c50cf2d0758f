import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.text import ELLIPSIS
from notify_service.providers.trimming import TooLongError, fit


def render(title: str, body: str) -> bytes:
    return json.dumps({"title": title, "body": body}, ensure_ascii=False).encode()


FRAME = len(render("", ""))
#: What a string can hold that JSON can carry as UTF-8.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def trimmed(title: str, body: str, limit: int) -> tuple[str, str]:
    decoded = json.loads(fit(render, title, body, limit))
    return decoded["title"], decoded["body"]


def test_what_fits_is_left_alone() -> None:
    assert trimmed("Ann", "hello", FRAME + 8) == ("Ann", "hello")


def test_the_body_gives_way_first() -> None:
    assert trimmed("Ann", "hello there", FRAME + 3 + 4 + 3) == ("Ann", "hell" + ELLIPSIS)


def test_no_space_is_left_before_the_ellipsis() -> None:
    assert trimmed("Ann", "hello there", FRAME + 3 + 6 + 3) == ("Ann", "hello" + ELLIPSIS)


def test_the_title_gives_way_when_nothing_of_the_body_fits() -> None:
    assert trimmed("Annabelle", "hello", FRAME + 7) == ("Anna" + ELLIPSIS, "")


@pytest.mark.parametrize("spare", range(12))
def test_characters_of_several_bytes_are_never_split(spare: int) -> None:
    title, body = trimmed("Ann", "日本語のメッセージ", FRAME + 3 + spare)
    assert title == "Ann"
    assert body == ("日本語のメッセージ"[: (spare - 3) // 3] + ELLIPSIS if spare >= 6 else "")


@pytest.mark.parametrize(
    "last",
    ["e\N{COMBINING ACUTE ACCENT}", "👍🏽", "👩\u200d🚀", "❤\ufe0f", "🇩🇪", "1️⃣", "क्षि"],
    ids=["accent", "skin tone", "joined", "variant", "flag", "keycap", "conjunct"],
)
def test_what_people_see_as_one_character_is_never_split(last: str) -> None:
    room = FRAME + 2 + len(last.encode()) + 3
    assert trimmed("", f"ab{last}tail", room) == ("", f"ab{last}{ELLIPSIS}")
    assert trimmed("", f"ab{last}tail", room - 1) == ("", f"ab{ELLIPSIS}")


def test_what_does_not_fit_without_text_is_an_error() -> None:
    with pytest.raises(TooLongError, match=f"{FRAME} bytes"):
        fit(render, "Ann", "hello", FRAME - 1)


@given(texts, texts, st.integers(0, 400))
def test_any_text_fits_and_keeps_its_beginning(title: str, body: str, spare: int) -> None:
    payload = fit(render, title, body, FRAME + spare)

    assert len(payload) <= FRAME + spare
    kept = json.loads(payload)
    assert title.startswith(kept["title"].removesuffix(ELLIPSIS))
    assert body.startswith(kept["body"].removesuffix(ELLIPSIS))
    if kept["title"] != title:
        assert not kept["body"]
