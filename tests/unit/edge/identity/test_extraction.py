"""Where a request may carry its token."""

import pytest

from edge.identity import extract_token
from mesh.errors import Unauthenticated


@pytest.mark.parametrize("value", ["Bearer abc", "bearer abc", "BEARER   abc", "  Bearer abc "])
def test_the_header(value: str) -> None:
    assert extract_token(authorization=value) == "abc"


def test_the_subprotocol_and_the_query() -> None:
    offered = ["parley.v1.json", "bearer.abc.def.ghi"]
    assert extract_token(authorization=None, subprotocols=offered) == "abc.def.ghi"
    assert extract_token(authorization=None, query="abc") == "abc"


def test_the_place_that_leaks_least_counts() -> None:
    assert extract_token(authorization="Bearer h", query="q", subprotocols=["bearer.s"]) == "h"
    assert extract_token(authorization=None, query="q", subprotocols=["bearer.s"]) == "s"


def test_credentials_for_a_proxy_are_left_alone() -> None:
    assert extract_token(authorization="Basic dTpw", query="abc") == "abc"


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer ", "abc", "Basic dTpw"])
def test_no_token(value: str | None) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        extract_token(authorization=value, query="", subprotocols=["parley.v1.json"])
    assert refusal.value.code == "INVALID_TOKEN"
