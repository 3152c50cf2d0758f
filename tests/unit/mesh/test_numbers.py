import pytest

from mesh.numbers import parse_number


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("7", 7), ("0050", 50), ("9" * 18, 10**18 - 1), ("1234567890", 1234567890)],
)
def test_plain_digits_are_a_number(text: str, number: int) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "²",
        "٣",
        "\uff11",
        "+1",
        "-1",
        " 1",
        "1 ",
        "1_0",
        "1.0",
        "1e3",
        "0x1",
        "1\n",
        "9" * 19,
        "9" * 4301,
    ],
)
def test_other_text_is_none(text: str) -> None:
    assert parse_number(text) is None
