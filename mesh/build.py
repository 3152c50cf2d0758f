"""Which version of Parley runs."""

import platform
from typing import Final

from mesh.metrics import BUILD_INFO

VERSION: Final = "0.1.0"


def show_build(part: str) -> None:
    """Shows in the metrics which part of Parley this process is, and of which version."""
    BUILD_INFO.labels(part, VERSION, platform.python_version()).set(1)
