"""The Lua scripts, and running many of them in one round trip."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from mesh.redis import is_cluster, is_moving, redis_errors

_FOLDER: Final = Path(__file__).parent / "scripts"


@dataclass(frozen=True, slots=True)
class Source:
    """Lua, and the digest that Redis knows it by."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Redis names scripts by SHA-1; it guards nothing here."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Script:
    """One script, as one Redis runs it and as the nodes of a cluster do, where channels are sharded."""

    alone: Source
    clustered: Source

    def on(self, redis: Redis) -> Source:
        """What that client runs."""
        return self.clustered if is_cluster(redis) else self.alone


def _load(*names: str) -> Script:
    text = "\n".join((_FOLDER / f"{name}.lua").read_text(encoding="utf-8") for name in names)
    return Script(Source.of(text), Source.of(text.replace("'PUBLISH'", "'SPUBLISH'")))


ACCEPT: Final = _load("_stale_head", "_place", "accept")
APPEND: Final = _load("_stale_head", "_place", "append")
BEGIN: Final = _load("_stale_head", "begin")
REMEMBER_SEND: Final = _load("remember_send")
REVOKE: Final = _load("revoke")
ADVANCE_READ: Final = _load("advance_read")
ADVANCE_DELIVERED: Final = _load("advance_delivered")
TAKE_TOKENS: Final = _load("_bucket", "take_tokens")
LOOK_UP: Final = _load("look_up")
HOLD_CHAT: Final = _load("hold_chat")
RELEASE_CHAT: Final = _load("release_chat")
RETURN_TOKENS: Final = _load("return_tokens")
OPEN_SESSION: Final = _load("open_session")
CLOSE_SESSION: Final = _load("close_session")
FIND_MESSAGE: Final = _load("find_message")
MARK_TYPING: Final = _load("mark_typing")
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
    answers = await run_each(redis, calls)
    with redis_errors():
        for answer in answers:
            if is_moving(answer):
                raise answer
    return answers


async def run_each(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """As ``run``, but a call whose slot of a cluster is moving fails alone, by an ``is_moving`` answer."""
    answers = await _pipeline(redis, calls)
    missing = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if missing:
        with redis_errors():
            for script in {calls[index].script for index in missing}:
                await redis.script_load(script.on(redis).text)
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
                pipe.evalsha(call.script.on(redis).sha, len(call.keys), *call.keys, *call.arguments)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        for answer in answers:
            # Full, read-only or without its replicas: that is an outage, and not the fault of one call.
            if (
                isinstance(answer, RedisError)
                and not isinstance(answer, NoScriptError)
                and not is_moving(answer)
            ):
                _raise_outage(answer)
    return answers


def _raise_outage(answer: RedisError) -> None:
    try:
        with redis_errors():
            raise answer
    except RedisError:
        return  # a defect; it stands in its place
