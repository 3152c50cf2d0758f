"""The token of an unsubscribe link."""

import pytest

from mesh.errors import InvalidArgument
from notify_service.email.unsubscribe import MAX_TOKEN, UnsubscribeTokens

SECRET = "a secret of the tests, 32 bytes and more"


@pytest.mark.parametrize("user_id", ["ada", "a", "ü" * 128, "\U0001f600" * 128, "a.b/c?d=e&f#g"])
def test_a_token_names_its_user_and_fits_into_a_url(user_id: str) -> None:
    tokens = UnsubscribeTokens(SECRET)
    token = tokens.token(user_id)
    assert tokens.user_id(token) == user_id
    assert len(token) <= MAX_TOKEN
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_every_mail_of_a_user_has_the_same_token_and_every_deployment_another() -> None:
    assert UnsubscribeTokens(SECRET).token("ada") == UnsubscribeTokens(SECRET).token("ada")
    with pytest.raises(InvalidArgument):
        UnsubscribeTokens(SECRET).user_id(UnsubscribeTokens(SECRET[::-1]).token("ada"))


def test_a_token_of_one_user_does_not_serve_for_another() -> None:
    tokens = UnsubscribeTokens(SECRET)
    eve, ada = tokens.token("eve"), tokens.token("ada")
    with pytest.raises(InvalidArgument):
        tokens.user_id(ada.partition(".")[0] + "." + eve.partition(".")[2])


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "YWRh",
        "YWRh.",
        "YWRh.YWRh",
        "YWRh.=",
        "Y W Rh.YWRh",
        "ä.ö",
        "a.b.c",
        "x" * (MAX_TOKEN + 1),
        "/w.YQ",
    ],
)
def test_what_is_no_token_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        UnsubscribeTokens(SECRET).user_id(token)
    assert caught.value.message == "token: is not from an unsubscribe link of this deployment"


def test_a_signed_user_id_that_cannot_be_one_is_refused() -> None:
    tokens = UnsubscribeTokens(SECRET)
    for impossible in ("", "u" * 129):
        with pytest.raises(InvalidArgument):
            tokens.user_id(tokens.token(impossible))


def test_there_is_one_way_to_write_a_token() -> None:
    tokens = UnsubscribeTokens(SECRET)
    token = tokens.token("ada")
    # The last character of 32 bytes in base64 has two bits that say nothing.
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = token[:-1] + last[last.index(token[-1]) ^ 1]
    for other in (twin, token + "=", token + " ", " " + token):
        with pytest.raises(InvalidArgument):
            tokens.user_id(other)
