"""The release before, as `make release-contract` noted it in `released/commit`, ready to run."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

from chaos.mesh import ROOT

COMMIT: Final = (ROOT / "released" / "commit").read_text().strip()
"""Its code comes out of the history, so a clone must have that."""

_PROGRAMS: Final = (
    "edge.app",
    "chat_service.app",
    "persist_service.app",
    "notify_service.app",
    "admin.__main__",
)


def archive(folder: Path, *paths: str) -> None:
    """Writes its files, or those under some paths, to a folder."""
    command = ["git", "archive", COMMIT, *paths]
    packed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert packed.returncode == 0, (
        f"the release before, commit {COMMIT} (released/commit), is not in the history of this clone; "
        f"where it is shallow, run: git fetch --unshallow\n{packed.stderr.decode()}"
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
        files.extractall(folder, filter="data")


def unpack(folder: Path) -> None:
    """Writes its code to a folder, beside what its own protos generate. It runs on today's libraries."""
    archive(folder)
    gen = folder / "gen"
    gen.mkdir()
    protos = sorted((folder / "protos").rglob("*.proto"))
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder / 'protos'}"]
    subprocess.run([*protoc, f"--python_out={gen}", f"--grpc_python_out={gen}", *protos], check=True)
    if (folder / "codegen").exists():  # not before 0.2.0
        codegen = [sys.executable, "-m", "codegen", "protos", "gen"]
        subprocess.run(codegen, cwd=folder, env={**os.environ, "PYTHONPATH": f"{folder}:{gen}"}, check=True)
    _stands_alone(folder)


def _stands_alone(folder: Path) -> None:
    """The virtual environment knows this checkout (see the Makefile): no module may come from it."""
    code = (
        f"import importlib, sys\nfor name in {_PROGRAMS}: importlib.import_module(name)\n"
        "print(*(getattr(module, '__file__', None) or '' for module in sys.modules.values()), sep='\\n')"
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{folder}:{folder / 'gen'}"}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, f"{COMMIT} does not run by itself:\n{found.stderr}"
    ours = {file for file in found.stdout.splitlines() if file.endswith(".py")}
    own = {file for file in ours if file.startswith(f"{folder}/")}
    here = {file for file in ours - own if file.startswith(f"{ROOT}/") and "/site-packages/" not in file}
    assert len(own) > 100, "the release does not run its own code"
    assert not here, f"the release runs code of this checkout: {sorted(here)}"
