"""The image holds what runs and no more, and compose starts it with settings that it takes."""

import ast
import importlib.metadata
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deployment.manifests import ROOT, SETTINGS

PACKAGES: Final = ("contract", "mesh", "edge", "chat_service", "persist_service", "notify_service", "admin")
# Imported under a name that no distribution in requirements.lock claims, with what brings it.
GENERATED: Final = {"parley"}


def instructions() -> Iterator[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, rest.strip()


def last_stage() -> list[tuple[str, str]]:
    stages: list[list[tuple[str, str]]] = [[]]
    for instruction in instructions():
        if instruction[0] == "FROM":
            stages.append([])
        stages[-1].append(instruction)
    return stages[-1]


def test_every_source_that_is_copied_exists_and_reaches_the_builder() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = [
        source
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in shlex.split(rest)[:-1]
    ]
    assert set(sources) == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_the_image_holds_every_package_that_runs() -> None:
    copied = {
        shlex.split(rest)[0] for word, rest in instructions() if word == "COPY" and "--from" not in rest
    }
    assert set(PACKAGES) <= copied
    assert not {"tests", "devstack", "chaos", "bench", "clients"} & copied


def test_the_last_stage_runs_nothing_as_root_and_compiles_nothing() -> None:
    stage = last_stage()
    users = [rest for word, rest in stage if word == "USER"]
    assert users == ["10001:10001"]  # a number, which runAsNonRoot can check
    runs = [rest for word, rest in stage if word == "RUN"]
    assert not any(word in run for run in runs for word in ("apt-get", "pip install", "gcc"))
    assert ("ENTRYPOINT", '["python", "-m"]') in stage


def test_the_base_image_is_an_exact_version() -> None:
    (base,) = (rest for word, rest in instructions() if word == "ARG")
    assert re.fullmatch(r"PYTHON_IMAGE=python:\d+\.\d+\.\d+-slim-\w+", base)


def imported(package: str) -> set[str]:
    names: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()  # PEP 503


def locked(file: str) -> set[str]:
    lines = (ROOT / file).read_text().splitlines()
    return {
        normalized(found[1]) for line in lines if (found := re.match(r"([A-Za-z0-9._-]+)(\[.*\])?==", line))
    }


def test_what_the_services_import_is_in_the_image() -> None:
    owners = importlib.metadata.packages_distributions()
    lock = locked("requirements.lock")
    for package in PACKAGES:
        for name in imported(package) - set(sys.stdlib_module_names) - set(PACKAGES) - GENERATED:
            assert {normalized(owner) for owner in owners.get(name, ())} & lock, f"{package} imports {name}"


def test_what_builds_has_the_versions_of_what_runs() -> None:
    def versions(file: str) -> dict[str, str]:
        return dict(
            re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==(\S+)", (ROOT / file).read_text(), flags=re.MULTILINE)
        )

    build, run, dev = (versions(f"requirements{kind}.lock") for kind in ("-build", "", "-dev"))
    assert {name: version for name, version in build.items() if name in run} == {
        name: run[name] for name in build if name in run
    }
    assert build["grpcio-tools"] == dev["grpcio-tools"]


def compose() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("name", ["edge", "chat", "persist", "notify"])
def test_compose_gives_each_service_settings_that_it_takes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = compose()["services"][name]
    fields = SETTINGS[name].model_fields
    assert service["read_only"] is True
    for variable, value in service["environment"].items():
        assert variable.removeprefix("PARLEY_").lower() in fields
        # ${NAME:?why}: what the user puts into .env
        monkeypatch.setenv(variable, re.sub(r"\$\{\w+:\?.*\}", "x" * 32, value))
    settings = SETTINGS[name]()
    grace = float(service["stop_grace_period"].removesuffix("s"))
    assert grace > getattr(settings, "drain_seconds")  # noqa: B009 - not every settings class has it
    admin = fields[f"{name}_admin_port"].default
    assert f":{admin}/readyz" in service["healthcheck"]["test"][-1]


def test_compose_reaches_servers_that_it_starts() -> None:
    services = compose()["services"]
    for name in ("edge", "chat", "persist", "notify"):
        for variable, value in services[name]["environment"].items():
            if variable.endswith(("_URL", "_TARGET")):
                host = re.sub(r"^[a-z+]+:///?([^@/]*@)?", "", value).partition(":")[0]
                assert host in services, f"{name}: {variable}"


def test_images_of_compose_and_of_the_dev_overlay_are_the_same() -> None:
    wanted = {service["image"] for service in compose()["services"].values()} - {"parley:dev"}
    text = "\n".join(path.read_text() for path in Path(ROOT / "k8s" / "overlays" / "dev").glob("*.yaml"))
    assert wanted == set(re.findall(r"image: (\S+)", text))
