"""`python -m codegen PROTOS GEN`, after protoc: `parley` is imported from GEN and gets more modules there."""

import argparse
import tempfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from codegen import close_codes, conversions, frames, logged_events
from codegen.load import load
from codegen.protocol import Protocol
from codegen.schema import Schema


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protos", type=Path)
    parser.add_argument("gen", type=Path)
    arguments = parser.parse_args()
    schema = read(sorted(arguments.protos.rglob("*.proto")), arguments.protos)
    protocol = Protocol.of(schema)
    folder = arguments.gen / "parley" / "edge" / "v1"
    (folder / "frames.py").write_text(frames.write(protocol))
    (folder / "conversions.py").write_text(conversions.write(protocol))
    (folder / "logged_events.py").write_text(logged_events.write(protocol))
    (folder / "close_codes.py").write_text(close_codes.write(schema))


def read(files: Iterable[Path], *roots: Path) -> Schema:
    """The schema of these files and all that they import from below the roots.

    Raises:
        RuntimeError: protoc does not understand them; it has said why.
    """
    with tempfile.NamedTemporaryFile(suffix=".binpb") as described:
        options = ["--include_source_info", "--include_imports", f"--descriptor_set_out={described.name}"]
        known = resources.files("grpc_tools") / "_proto"  # google/protobuf
        if protoc.main(["protoc", *(f"-I{root}" for root in (*roots, known)), *options, *map(str, files)]):
            raise RuntimeError("protoc failed")
        return load(FileDescriptorSet.FromString(Path(described.name).read_bytes()))


if __name__ == "__main__":
    main()
