"""Readiness as an operator sees it, and Redis clients, while a Redis of the test's own comes and goes."""

import asyncio
import logging
from functools import partial

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from devstack.servers import RedisServer
from mesh.admin import open_admin
from mesh.errors import Unavailable
from mesh.readiness import Readiness
from mesh.redis import open_redis, ping, redis_errors


async def test_redis_fails_at_once_when_it_is_down_and_serves_again_when_it_is_back() -> None:
    server = RedisServer()
    async with open_redis(SecretStr(server.url), timeout_seconds=120, connect_timeout_seconds=120) as client:
        for _ in range(2):
            with server, redis_errors():
                await client.set("key", "value")
                assert await client.get("key") == b"value"
            async with asyncio.timeout(30):  # before any of the client's own limits
                for _ in range(3):
                    with pytest.raises(Unavailable) as failed, redis_errors():
                        await client.get("key")
                    assert failed.value.dependency == "redis"


async def test_one_call_alone_pays_for_all_connections_that_went_with_the_server() -> None:
    server = RedisServer()
    with server:
        async with open_redis(SecretStr(server.url)) as client:
            ids = await asyncio.gather(*(client.client_id() for _ in range(8)))
            assert len(set(ids)) > 1
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            with pytest.raises(Unavailable), redis_errors():
                await client.ping()
            again = await asyncio.gather(*(client.client_id() for _ in range(8)))
            assert len(set(again)) > 1


async def test_an_error_of_the_script_is_not_an_outage(redis_db: str) -> None:
    async with open_redis(SecretStr(redis_db)) as client:
        with pytest.raises(Exception, match=r"[Uu]nknown") as failed, redis_errors():
            await client.eval("return redis.call('nosuch')", 0)
        assert not isinstance(failed.value, Unavailable)


async def test_readyz_names_the_dependency_that_is_down_and_each_change_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = RedisServer()
    readiness = Readiness(timeout_seconds=0.3, grace_seconds=0)
    told: list[bool] = []

    async def listener(ready: bool) -> None:  # noqa: FBT001 - the shape of a listener
        told.append(ready)

    readiness.on_change(listener)

    async def hang() -> None:
        await asyncio.Event().wait()

    async with (
        open_redis(SecretStr(server.url)) as client,
        open_admin("127.0.0.1", 0, readiness, field="admin_port") as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        readiness.add("redis", partial(ping, client), field="redis_url")
        readiness.add("optional", hang, required=False)

        async def state() -> tuple[int, str]:
            answer = await http.get("/readyz")
            report = answer.json()
            assert report["dependencies"]["optional"] in {"no answer in 0.3 s", "not checked yet"}
            return answer.status_code, report["dependencies"]["redis"]

        with caplog.at_level(logging.DEBUG, "tornado.access"):
            assert await state() == (503, "not checked yet (PARLEY_REDIS_URL)")
        assert not caplog.records  # an answer, not an error
        with capture_logs() as logs:
            await readiness.poll()
            await readiness.poll()
            code, problem = await state()
            assert (code, problem.endswith("(PARLEY_REDIS_URL)")) == (503, True), problem
            with server:
                await readiness.poll()
                await readiness.poll()
                assert await state() == (200, "up")
                await readiness.wait_ready()
            await readiness.poll()
            assert (await state())[0] == 503
        for path, status in (("/healthz", 200), ("/readyz", 503), ("/metrics", 200), ("/nothing", 404)):
            for answer in (await http.get(path), await http.head(path)):
                assert answer.status_code == status
            assert answer.content == b""
    assert [(log["event"], log["dependency"]) for log in logs if log["dependency"] == "redis"] == [
        ("dependency.down", "redis"),
        ("dependency.up", "redis"),
        ("dependency.down", "redis"),
    ]
    told_down = [log for log in logs if log["event"] == "dependency.down"]
    assert {log.get("variable") for log in told_down} == {"PARLEY_REDIS_URL", None}
    assert told == [False, True, False]


async def test_what_starts_with_us_is_told_as_down_after_a_while() -> None:
    readiness = Readiness(grace_seconds=3600)
    answers = iter([OSError("not yet"), None, OSError("gone")])

    async def check() -> None:
        answer = next(answers)
        if answer is not None:
            raise answer

    readiness.add("redis", check)
    with capture_logs() as logs:
        await readiness.poll()
        assert readiness.report() == {"redis": "OSError: not yet"}
        await readiness.poll()
        await readiness.poll()
    assert [log["event"] for log in logs] == ["dependency.up", "dependency.down"]


async def test_a_draining_process_is_not_ready() -> None:
    readiness = Readiness()
    await readiness.poll()
    assert readiness.ready
    await readiness.start_drain()
    await readiness.poll()
    assert not readiness.ready
