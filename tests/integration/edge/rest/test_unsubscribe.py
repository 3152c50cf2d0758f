"""The page behind the unsubscribe link of a mail, as browsers and mail programs use it."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from mesh.errors import InvalidArgument, Unavailable
from parley.common.v1.error_pb2 import ErrorReason
from parley.notify.v1 import notify_service_pb2 as pb

if TYPE_CHECKING:
    import httpx

    from tests.integration.edge.rest.conftest import ScriptedNotify

PATH = "/api/v1/unsubscribe"


def assert_is_page(response: httpx.Response) -> None:
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    policy = response.headers["Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy, "the browser would not apply the page's own style"
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "<script" not in response.text
    assert "style=" not in response.text


async def test_following_the_link_asks_and_changes_nothing(
    client: httpx.AsyncClient, notify: ScriptedNotify
) -> None:
    response = await client.get(PATH, params={"token": "a.b"})
    assert response.status_code == 200
    assert_is_page(response)
    assert '<form method="post">' in response.text
    assert "a.b" not in response.text
    assert notify.requests == []


@pytest.mark.parametrize(
    "form", [{}, {"List-Unsubscribe": "One-Click"}], ids=["by the button", "in one click (RFC 8058)"]
)
async def test_posting_to_the_link_ends_the_mails_without_a_login(
    client: httpx.AsyncClient, notify: ScriptedNotify, form: dict[str, str]
) -> None:
    notify.answers["Unsubscribe"] = pb.UnsubscribeResponse()
    response = await client.post(PATH, params={"token": "a.b"}, data=form)
    assert response.status_code == 200
    assert_is_page(response)
    assert "No more mails" in response.text
    assert notify.requests == [pb.UnsubscribeRequest(token="a.b")]


@pytest.mark.parametrize("query", ["", "?token=", "?token=a&token=b", "?token=" + "a" * 1025, "?token=%ff"])
async def test_a_link_that_is_not_whole_is_told_from_one_that_works(
    client: httpx.AsyncClient, notify: ScriptedNotify, query: str
) -> None:
    for response in (await client.get(PATH + query), await client.post(PATH + query)):
        assert response.status_code == 400
        assert_is_page(response)
        assert "<form" not in response.text
    assert notify.requests == []


async def test_a_forged_link_is_refused(client: httpx.AsyncClient, notify: ScriptedNotify) -> None:
    notify.answers["Unsubscribe"] = InvalidArgument(
        ErrorReason.ERROR_REASON_INVALID_ARGUMENT, "token: is not from here"
    )
    response = await client.post(PATH, params={"token": "a.b"})
    assert response.status_code == 400
    assert_is_page(response)
    assert "This link does not work" in response.text


async def test_an_outage_asks_to_try_again(client: httpx.AsyncClient, notify: ScriptedNotify) -> None:
    notify.answers["Unsubscribe"] = Unavailable(
        ErrorReason.ERROR_REASON_UNAVAILABLE, "mongodb is down", retry_after_ms=1500
    )
    response = await client.post(PATH, params={"token": "a.b"})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"
    assert_is_page(response)
    assert "mongodb" not in response.text
    assert '<form method="post">' in response.text


async def test_other_methods_are_refused_with_a_page(client: httpx.AsyncClient) -> None:
    response = await client.delete(PATH, params={"token": "a.b"})
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    assert_is_page(response)
    assert "This page cannot do what was asked for." in response.text, "nothing is wrong with the link"


async def test_a_huge_body_is_refused(client: httpx.AsyncClient, notify: ScriptedNotify) -> None:
    response = await client.post(PATH, params={"token": "a.b"}, content=b"x" * (2 << 20))
    assert response.status_code == 413
    assert notify.requests == []
