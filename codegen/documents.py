"""`make documents`, in the checkout: renews what is written from the contract into documents."""

from pathlib import Path
from typing import Final

from codegen import tables
from codegen.__main__ import read
from codegen.protocol import Protocol

_ROOT: Final = Path(__file__).parent.parent


def documents() -> dict[Path, str]:
    """Each file with what should be in it."""
    protos = _ROOT / "protos"
    protocol = Protocol.of(read(sorted(protos.rglob("*.proto")), protos))
    page = _ROOT / "docs" / "websocket-protocol.md"
    return {page: tables.renew(page.read_text(), protocol)}


def main() -> None:
    """Writes the files."""
    for path, text in documents().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
