"""What a web page in a real browser sees of the edge."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.extras.browser import browser, site
from tests.integration.edge.conftest import Edge, running_edge, token
from tests.integration.edge.scaffold import ScaffoldChat, scaffold_chat
from tests.support.polling import eventually

pytestmark = pytest.mark.timeout(180)

_PAGE = """
const report = (value) => fetch("/report", {method: "POST", body: JSON.stringify(value)});

function attempt(url, protocols) {
  return new Promise((resolve) => {
    const seen = {opened: false, frames: []};
    const socket = new WebSocket(url, protocols);
    socket.onopen = () => { seen.opened = true; };
    socket.onmessage = (message) => { seen.frames.push(JSON.parse(message.data).event); socket.close(); };
    socket.onclose = (event) => resolve({...seen, code: event.code, reason: event.reason.split(":")[0]});
  });
}

const status = async (url, token) => {
  try {
    return (await fetch(url, {headers: {Authorization: "Bearer " + token}})).status;
  } catch (error) {
    return String(error);
  }
};
"""


@pytest.fixture
async def chat(redis_db: str) -> AsyncIterator[tuple[ScaffoldChat, int, str]]:
    async with scaffold_chat(redis_db) as (scaffold, port):
        yield scaffold, port, redis_db


def _script(edge: Edge, cases: dict[str, list[str] | str]) -> str:
    """Tries each case, a list of subprotocols or a query, and reports what it saw."""
    return (
        _PAGE
        + f"const URL_OF_EDGE = {edge.url!r}, CASES = {msgspec.json.encode(cases).decode()};"
        + """
(async () => {
  const results = {};
  for (const [name, how] of Object.entries(CASES)) {
    results[name] = typeof how === "string"
      ? await attempt(URL_OF_EDGE + how)
      : await attempt(URL_OF_EDGE, how);
  }
  await report(results);
})();
"""
    )


def _offer(proof: str) -> list[str]:
    return ["parley.v1.json", f"bearer.{proof}"]


def _closed(code: int, reason: str, *, opened: bool = True) -> dict[str, Any]:
    return {"opened": opened, "frames": [], "code": code, "reason": reason}


async def test_a_page_reads_why_it_was_refused(chat: tuple[ScaffoldChat, int, str], tmp_path: Path) -> None:
    scaffold, port, redis_url = chat
    await scaffold.revoke("eve")
    pages: dict[str, str] = {}
    async with site(pages) as pages_of:
        home = f"http://127.0.0.1:{pages_of.port}"
        async with running_edge(redis_url, scaffold, port, edge_cors_origins=home) as edge:
            expired = token("alice", exp=int(time.time()) - 600)
            cases: dict[str, list[str] | str] = {
                "welcome": _offer(token("alice")),
                "in the URL": f"?token={token('alice')}",
                "nonsense": _offer("nonsense"),
                "expired": _offer(expired),
                "nonsense in the URL": "?token=nonsense",
                "no token": ["parley.v1.json"],
                "revoked": _offer(token("eve", iat=int(time.time()) - 60)),
                "no protocol to answer with": [f"bearer.{token('alice')}"],
            }
            pages["/"] = _script(edge, cases)
            async with browser(home, tmp_path):
                seen = await pages_of.report()
    assert seen.pop("welcome")["frames"] == ["welcome"]
    assert seen.pop("in the URL")["frames"] == ["welcome"]
    assert seen == {
        "nonsense": _closed(4401, "INVALID_TOKEN"),
        "expired": _closed(4401, "TOKEN_EXPIRED"),
        "nonsense in the URL": _closed(4401, "INVALID_TOKEN"),
        "no token": _closed(4401, "INVALID_TOKEN"),
        "revoked": _closed(4410, "SESSION_REVOKED"),
        "no protocol to answer with": _closed(1006, "", opened=False),
    }


async def test_a_page_of_another_site_reads_that_it_may_not(
    chat: tuple[ScaffoldChat, int, str], tmp_path: Path
) -> None:
    scaffold, port, redis_url = chat
    pages: dict[str, str] = {}
    async with site(pages) as pages_of, running_edge(redis_url, scaffold, port) as edge:
        pages["/"] = _script(edge, {"foreign": _offer(token("alice"))})
        async with browser(f"http://localhost:{pages_of.port}", tmp_path):
            assert await pages_of.report() == {"foreign": _closed(4403, "PERMISSION_DENIED")}
        assert scaffold.opened_active_ms == []


async def test_who_sees_1006_learns_more_by_rest(chat: tuple[ScaffoldChat, int, str], tmp_path: Path) -> None:
    scaffold, port, redis_url = chat
    pages: dict[str, str] = {}
    async with site(pages) as pages_of:
        home = f"http://127.0.0.1:{pages_of.port}"
        async with running_edge(redis_url, scaffold, port, edge_cors_origins=home) as edge:
            rest = f"http://127.0.0.1:{edge.port}/api/v1/sessions"
            pages["/"] = (
                _PAGE
                + f"""
(async () => {{
  const refused = await attempt({edge.url!r}, ["bearer.x"]);
  await report([refused.code, await status({rest!r}, {token("alice")!r}), await status({rest!r}, "x")]);
}})();
"""
            )
            async with browser(home, tmp_path):
                assert await pages_of.report() == [1006, 200, 401]


async def test_a_page_that_closes_on_pagehide_is_offline_when_left_and_online_when_back(
    chat: tuple[ScaffoldChat, int, str], tmp_path: Path
) -> None:
    scaffold, port, redis_url = chat
    pages: dict[str, str] = {}
    async with site(pages) as pages_of:
        home = f"http://127.0.0.1:{pages_of.port}"
        async with running_edge(redis_url, scaffold, port, edge_cors_origins=home) as edge:
            pages["/"] = (
                _PAGE
                + f"""
let socket;
addEventListener("pageshow", (event) => {{
  socket = new WebSocket({edge.url!r}, {_offer(token("alice"))!r});
  socket.onmessage = () => report(event.persisted ? "kept" : "loaded");
}});
addEventListener("pagehide", () => socket.close());
const leave = setInterval(async () => {{
  if ((await (await fetch("/leave")).text()).includes("now")) {{
    clearInterval(leave);
    location.href = "/away";
  }}
}}, 100);
"""
            )
            pages["/leave"] = ""
            pages["/away"] = _PAGE + 'report("away"); setTimeout(() => history.back(), 1000);'
            async with browser(home, tmp_path):
                assert await pages_of.report() == "loaded"
                assert list(scaffold.sessions.values()) == ["alice"]
                pages["/leave"] = "now"
                assert await pages_of.report() == "away"
                await eventually(lambda: len(scaffold.closed) == 1)
                pages["/leave"] = ""
                assert await pages_of.report() in {"kept", "loaded"}
                await eventually(lambda: list(scaffold.sessions.values()) == ["alice"])
