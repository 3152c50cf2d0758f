"""`make documents`, in the checkout: renews what is written from the contract and kept."""

import json
from pathlib import Path
from typing import Final

from codegen import client_models, tables
from codegen.__main__ import read
from codegen.protocol import Protocol
from edge.protocol import asyncapi

_ROOT: Final = Path(__file__).parent.parent


def documents() -> dict[Path, str]:
    """Each file with what should be in it."""
    protos = _ROOT / "protos"
    protocol = Protocol.of(read(sorted(protos.rglob("*.proto")), protos))
    page = _ROOT / "docs" / "websocket-protocol.md"
    return {
        page: tables.renew(page.read_text(), protocol),
        _ROOT / "clients" / "python" / "parley_client" / "declared.py": client_models.write(protocol),
        _ROOT / "docs" / "asyncapi.json": json.dumps(asyncapi.document(), indent=2) + "\n",
    }


def main() -> None:
    """Writes the files."""
    for path, text in documents().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
