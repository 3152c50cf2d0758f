"""The Lua scripts, and running many of them in one round trip."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from mesh.redis import redis_errors

_FOLDER: Final = Path(__file__).parent / "scripts"


@dataclass(frozen=True, slots=True)
class Script:
    """One script and the digest that Redis knows it by."""

    source: str
    sha: str


def _load(*names: str) -> Script:
    source = "\n".join((_FOLDER / f"{name}.lua").read_text(encoding="utf-8") for name in names)
    # Redis names scripts by SHA-1; it guards nothing here.
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


ACCEPT: Final = _load("_behind", "_place", "accept")
APPEND: Final = _load("_behind", "_place", "append")
BEGIN: Final = _load("_behind", "begin")
REMEMBER_SEND: Final = _load("remember_send")
REVOKE: Final = _load("revoke")
ADVANCE_READ: Final = _load("advance_read")
ADVANCE_DELIVERED: Final = _load("advance_delivered")
TAKE_TOKENS: Final = _load("take_tokens")
OPEN_SESSION: Final = _load("open_session")
CLOSE_SESSION: Final = _load("close_session")
REMOVE_UNLESS_TOUCHED: Final = _load("remove_unless_touched")

Argument = str | bytes | int | float


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a script."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[Argument]


async def run(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """Runs all calls in one round trip, in order; an answer that is a ``RedisError`` stands in its place.

    A Redis that was restarted does not know the scripts: those calls did nothing, and are run again.

    Raises:
        Unavailable: Redis cannot be reached or takes nothing now; any of the calls may have run.
    """
    answers = await _pipeline(redis, calls)
    missing = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if missing:
        with redis_errors():
            for script in {calls[index].script for index in missing}:
                await redis.script_load(script.source)
        again = await _pipeline(redis, [calls[index] for index in missing])
        for index, answer in zip(missing, again, strict=True):
            answers[index] = answer
    return answers


async def run_one(redis: Redis, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
    """Runs one script.

    Raises:
        Unavailable: as ``run``.
        RedisError: the script failed, which is a defect.
    """
    (answer,) = await run(redis, [Call(script, keys, arguments)])
    if isinstance(answer, RedisError):
        raise answer
    return answer


async def _pipeline(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    with redis_errors():
        async with redis.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.evalsha(call.script.sha, len(call.keys), *call.keys, *call.arguments)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        for answer in answers:
            # Full, read-only or without its replicas: that is an outage, and not the fault of one call.
            if isinstance(answer, RedisError) and not isinstance(answer, NoScriptError):
                _raise_outage(answer)
    return answers


def _raise_outage(answer: RedisError) -> None:
    try:
        with redis_errors():
            raise answer
    except RedisError:
        return  # a defect; it stands in its place
