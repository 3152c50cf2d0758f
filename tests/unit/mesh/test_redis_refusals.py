"""Which answers of Redis mean "not now", as redis-py words them."""

import pytest
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from mesh.redis import is_refusal


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ResponseError("MISCONF Errors writing to the AOF file: File too large"),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        ResponseError(
            "Command # 1 (HDEL chat:{a}:outbox 1) of pipeline caused error: ('MISCONF Errors writing ...',)"
        ),
    ],
)
def test_a_redis_that_takes_nothing_now_refuses(error: RedisError) -> None:
    assert is_refusal(error)


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        ResponseError("Command # 2 (SET k MISCONF) of pipeline caused error: ('ERR syntax error',)"),
        ValueError("MISCONF"),
    ],
)
def test_a_defect_is_no_refusal(error: Exception) -> None:
    assert not is_refusal(error)
