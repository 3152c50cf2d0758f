"""What README.md and docs/grpc.md show of gRPC runs as it is shown."""

import asyncio
import os
import re
import sys
import uuid
from typing import Final

import pytest

from parley.chat.v1.chat_service_pb2 import DESCRIPTOR
from tests.e2e.mesh import ROOT, SERVICE_SECRET, Mesh

README: Final = "README.md"
PAGE: Final = "docs/grpc.md"
ADDRESS: Final = "127.0.0.1:50051"


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


async def _printed(page: str, mesh: Mesh, shop: str) -> str:
    """What the page's program prints, run against the mesh as ``shop``."""
    (program,) = _blocks(page, "python")
    assert ADDRESS in program
    program = program.replace(ADDRESS, f"127.0.0.1:{mesh.chat.port}").replace('"shop"', f'"{shop}"')
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        env={**os.environ, "PARLEY_SERVICE_SECRET": SERVICE_SECRET},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_programs_run(mesh: Mesh) -> None:
    shop = f"shop-{uuid.uuid4().hex[:8]}"
    assert re.search(r"^accepted \{\n.*seq: \d+\n", await _printed(README, mesh, shop), re.DOTALL)
    assert "duplicate: true" in await _printed(README, mesh, shop)
    async with asyncio.timeout(30):
        while "It is on its way" not in (shown := await _printed(PAGE, mesh, shop)):
            assert shown == "[]\n"  # not stored yet
    assert shop in shown


@pytest.mark.parametrize("page", [README, PAGE])
def test_the_calls_by_hand_name_what_there_is(page: str) -> None:
    methods = DESCRIPTOR.services_by_name["ChatService"].methods_by_name
    named = re.findall(r"parley\.chat\.v1\.ChatService[./](\w+)", (ROOT / page).read_text())
    assert named
    assert set(named) <= set(methods)
