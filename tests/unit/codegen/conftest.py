from pathlib import Path
from typing import Final

import pytest

from codegen.__main__ import read
from codegen.protocol import Protocol

HERE: Final = Path(__file__).parent
PROTOS: Final = HERE.parents[2] / "protos"


@pytest.fixture(scope="session")
def tiny_protocol() -> Protocol:
    """That of `tiny.proto` and a log beside it, which have one of each kind of thing."""
    return Protocol.of(read(sorted(HERE.rglob("*.proto")), HERE, PROTOS))
