import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import structlog

from mesh.logs import configure_logs, get_logger, log_context


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


def test_an_event_is_one_line_of_json_with_time_level_and_service(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("chat", "INFO", "json")
    get_logger().info("room.joined", members=3)
    get_logger().debug("too.quiet")
    (event,) = _events(capsys)
    assert (event["event"], event["level"], event["service"], event["members"]) == (
        "room.joined",
        "info",
        "chat",
        3,
    )
    assert event["time"].endswith("Z")


def test_what_libraries_log_looks_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("chat", "INFO", "json")
    logging.getLogger("some.library").warning("lost %s", "it")
    (event,) = _events(capsys)
    assert (event["event"], event["logger"], event["service"]) == ("lost it", "some.library", "chat")
    assert event["time"].endswith("Z")


def test_context_is_on_every_event_inside_and_gone_after(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("edge", "INFO", "json")
    with log_context(connection_id="c1"):
        get_logger().info("inside")
        logging.getLogger("library").warning("inside too")
    get_logger().info("outside")
    assert [event.get("connection_id") for event in _events(capsys)] == ["c1", "c1", None]


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_traceback_shows_lines_but_never_values(capsys: pytest.CaptureFixture[str], fmt: Any) -> None:
    def handle(secret: str) -> None:
        raise ValueError("not " + str(len(secret)))

    token = uuid4().hex
    configure_logs("edge", "INFO", fmt)
    try:
        handle(token)
    except ValueError:
        get_logger().exception("it.failed")
    err = capsys.readouterr().err
    assert "ValueError" in err
    assert "handle" in err
    assert token not in err


def test_configuring_again_replaces_and_does_not_double(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("edge", "INFO", "json")
    configure_logs("chat", "INFO", "json")
    logging.getLogger("library").warning("once")
    assert [event["service"] for event in _events(capsys)] == ["chat"]


def test_libraries_are_heard_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("edge", "DEBUG", "json")
    get_logger().debug("ours")
    for library in ("httpx", "hpack.hpack", "pymongo.command", "tornado.general", "any.other"):
        logging.getLogger(library).debug("authorization: Bearer %s", "token")
        logging.getLogger(library).info("GET https://user:password@example")
    logging.getLogger("any.other").warning("told")
    assert [event["event"] for event in _events(capsys)] == ["ours", "told"]


def test_a_level_above_warnings_is_for_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("edge", "ERROR", "json")
    get_logger().warning("ours")
    logging.getLogger("any.other").warning("theirs")
    assert _events(capsys) == []
