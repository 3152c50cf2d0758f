"""A real browser and the site whose pages it shows."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from devstack.programs import find_chromium

_SWITCHES = (
    "--headless",
    "--no-sandbox",  # as root it does not start otherwise; it sees this machine's own pages alone
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Site:
    """Pages by their path, and what they reported by `fetch("/report", {method: "POST", body: JSON})`."""

    def __init__(self, port: int, reports: asyncio.Queue[Any]) -> None:
        self.port = port
        self._reports = reports

    async def report(self) -> Any:
        """The next report of a page."""
        return await asyncio.wait_for(self._reports.get(), 60)


@asynccontextmanager
async def site(pages: dict[str, str]) -> AsyncIterator[Site]:
    """Serves `pages` on every name of this machine."""
    reports: asyncio.Queue[Any] = asyncio.Queue()

    class Page(RequestHandler):
        def get(self, path: str) -> None:
            if path in pages:
                self.write(f"<!doctype html><script>{pages[path]}</script>")
            else:
                self.set_status(HTTPStatus.NO_CONTENT)  # a browser asks for an icon

    class Report(RequestHandler):
        def post(self) -> None:
            reports.put_nowait(msgspec.json.decode(self.request.body))

    server = HTTPServer(Application([("/report", Report), ("(/.*)", Page)], default_host=".*"))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    try:
        yield Site(sockets[0].getsockname()[1], reports)
    finally:
        server.stop()
        await server.close_all_connections()


@asynccontextmanager
async def browser(url: str, profile: Path) -> AsyncIterator[None]:
    """Chromium, showing `url`; ended with all its processes."""
    program = find_chromium()
    assert program is not None, "no Chromium; run `make test-extras`, which installs it"
    with (profile / "browser.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            *_SWITCHES,
            f"--user-data-dir={profile}",
            url,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
