"""Whether a text shows anything, and where it is cut."""

import unicodedata

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from contract.text import CODE_POINTS_PER_CLUSTER, ELLIPSIS, cluster_ends, cut, is_visible, one_line, summary

FAMILY = "👨‍👩‍👧‍👦"
WHOLE = (
    FAMILY,
    "👋🏽",  # a skin tone
    "🇩🇪",  # a flag
    "🏴󠁧󠁢󠁳󠁣󠁴󠁿",  # a flag of tags
    "e\u0301",  # an accent
    "1️⃣",  # a keycap
    "क्षि",  # a conjunct of Devanagari
    "நி",
    "한",
    "\r\n",
)
NOTHING = (
    "\u200b\u2060\ufeff\u00ad\u3164\u2800\u115f\u180e\u202e\u200d\u200c"
    "\u00a0\u3000 \t\n\x00\x7f\u2028\U000e0041\ufe0f"
)


@pytest.mark.parametrize("character", NOTHING)
def test_what_shows_nothing(character: str) -> None:
    assert not is_visible(character)
    assert not is_visible(character * 100)
    assert is_visible(f"{character}a{character}")


@pytest.mark.parametrize(
    "text",
    [
        *(text for text in WHOLE if text.strip()),
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with its joiner
        "\u0301",  # an accent on nothing is drawn on a dotted circle
        "\ue000",  # private use
        "\U0003fffe",  # assigned to nothing
        "\u0378",  # not assigned yet
    ],
)
def test_what_shows_something(text: str) -> None:
    assert is_visible(text)


@pytest.mark.parametrize("whole", WHOLE)
@pytest.mark.parametrize("limit", [6, 60, 140, 200])
def test_a_cluster_is_kept_whole_or_left_out(whole: str, limit: int) -> None:
    assert cut("x" * (limit - 1) + whole, limit) == "x" * (limit - 1) + whole
    assert cut("x" * limit + whole, limit) == "x" * limit
    assert cut("x" * (limit - 1) + whole + "y", limit, ellipsis="…") == "x" * (limit - 1) + "…"
    assert cut("x" * (limit - 2) + whole + "yy", limit, ellipsis="…").rstrip("\r\n…") in {
        "x" * (limit - 2) + whole,
        "x" * (limit - 2),  # white space before the ellipsis goes
    }


def test_a_cut_counts_what_people_count() -> None:
    text = "é" * 139 + FAMILY
    assert cut(text, 140) == text
    assert cut(text + "!", 140, ellipsis="…") == "é" * 139 + "…"


def test_a_heap_of_accents_does_not_get_through_a_cut() -> None:
    heap = "e" + "\u0301" * 60_000
    assert len(cut(heap, 140)) == 140 * CODE_POINTS_PER_CLUSTER
    assert cut("ab" + heap, 140, ellipsis="…") == "ab…"
    assert cut("ab" + heap, 100, code_points=100) == "ab"


def test_a_cut_looks_at_no_more_than_it_may_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []

    class Counting:
        def __init__(self, pattern: "regex.Pattern[str]") -> None:
            self._pattern = pattern

        def match(self, text: str) -> "regex.Match[str]":
            looked_at.append(len(text))
            found = self._pattern.match(text)
            assert found is not None
            return found

        def finditer(self, text: str) -> object:
            looked_at.append(len(text))
            return self._pattern.finditer(text)

    monkeypatch.setattr("contract.text._up_to", lambda n: Counting(regex.compile(rf"\X{{0,{n}}}")))
    monkeypatch.setattr("contract.text._CLUSTER", Counting(regex.compile(r"\X")))
    for text in ("é" * 65_536, FAMILY * 9_000, "e" + "\u0301" * 65_535):
        cut(text, 140, ellipsis="…")
        summary(text, 140)
    assert looked_at
    assert max(looked_at) <= 140 * (CODE_POINTS_PER_CLUSTER + 1) + 1


@given(st.lists(st.sampled_from((*WHOLE, "x", " ", "\u0301", "\u200d", "🇫"))), st.integers(1, 12))
def test_whatever_is_cut_ends_where_a_cluster_ends(parts: list[str], limit: int) -> None:
    text = "".join(parts)
    kept = cut(text, limit)
    assert text.startswith(kept)
    assert len(kept) <= limit * CODE_POINTS_PER_CLUSTER
    assert len(cluster_ends(kept)) <= limit
    ends = [0, *cluster_ends(text)]
    if len(kept) in ends:
        # The next one would not have fitted.
        if kept != text:
            following = ends[ends.index(len(kept)) + 1]
            assert len(cluster_ends(kept)) == limit or following > limit * CODE_POINTS_PER_CLUSTER
    else:
        assert len(kept) == limit * CODE_POINTS_PER_CLUSTER < ends[1]


@given(st.text(max_size=300), st.integers(1, 20))
def test_an_ellipsis_is_counted(text: str, limit: int) -> None:
    kept = cut(text, limit, ellipsis="…")
    assert kept == text or kept.endswith("…")
    assert len(cluster_ends(kept)) <= limit


@given(st.text(max_size=100))
def test_one_line_is_one_visible_line_or_nothing(text: str) -> None:
    line = one_line(text)
    assert not line or is_visible(line)
    assert not any(unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"} for character in line)
    assert one_line(line) == line
    assert bool(line) == is_visible(text)


def test_one_line_of_nothing_visible_is_empty() -> None:
    assert one_line(NOTHING) == ""
    assert one_line("\u202eevil\u2028 name") == "evil name"


@given(st.text(max_size=600), st.integers(1, 20))
def test_a_summary_is_the_beginning_of_the_one_line(text: str, limit: int) -> None:
    line, shown = one_line(text), summary(text, limit)
    assert bool(shown) == bool(line)
    assert len(cluster_ends(shown)) <= limit
    # What shows nothing before the first visible character goes.
    assert line.endswith(shown) or shown.endswith(ELLIPSIS)


def test_a_summary_says_when_there_is_more() -> None:
    assert summary(" \u200b\n hello \t world  ", 140) == "hello world"
    assert summary("a" + " " * 10_000, 140) == "a"
    assert summary("a" + " " * 10_000 + "b", 140) == "a…"
    assert summary("\n" * 60_000 + "b", 140) == "b"
    assert summary("x" * 139 + FAMILY, 140) == "x" * 139 + FAMILY
    assert summary("x" * 139 + FAMILY + "y", 140) == "x" * 139 + "…"
    assert summary("\u200b" * 60_000, 140) == ""
