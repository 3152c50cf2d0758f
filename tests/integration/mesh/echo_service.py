"""The echo service as a process, which a test can freeze: `python -m …echo_service PORT`."""

import asyncio
import sys

from pydantic import SecretStr

from mesh.errors import NotFound, unavailable
from mesh.rpc.server import RpcServer
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.mesh.echo import OPEN, EchoServicer, add_to_server

_SLOW_SECONDS = 0.3  # longer than a breaker lets pass as quick


async def _behave(text: str) -> str:
    if text == "not found":
        raise NotFound(ErrorReason.ERROR_REASON_NOT_FOUND, "no such thing")
    if text == "slow outage":
        await asyncio.sleep(_SLOW_SECONDS)
        raise unavailable("mongodb")
    return text


async def _main(port: int) -> None:
    async with RpcServer("echo", SecretStr("s" * 32), access=OPEN) as server:
        server.add(add_to_server, EchoServicer(_behave))
        await server.start("127.0.0.1", port, field="echo_port")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
