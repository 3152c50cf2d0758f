"""The manifests as kubectl renders them."""

import base64
import functools
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from admin.settings import DatabaseSettings
from chat_service.settings import ChatSettings
from edge.settings import EdgeSettings
from mesh.settings import EnvironmentSettings
from notify_service.settings import NotifySettings
from persist_service.settings import PersistSettings

ROOT: Final = Path(__file__).parents[2]
OVERLAYS: Final = ("dev", "prod")
SETTINGS: Final[Mapping[str, type[EnvironmentSettings]]] = {
    "edge": EdgeSettings,
    "chat": ChatSettings,
    "persist": PersistSettings,
    "notify": NotifySettings,
    "migrate": DatabaseSettings,
    "backup": DatabaseSettings,
    "backup-shell": DatabaseSettings,
}
"""What each workload of ours reads, by its name."""
SERVICES: Final = ("edge", "chat", "persist", "notify")

Manifest = dict[str, Any]

TLS_FOLDER: Final = "/var/run/parley/tls"
"""Where the component mutual-tls mounts a service's certificate."""

# What an operator's Secret would hold.
SAMPLE_SECRETS: Final = {
    "service-secret": "s" * 32,
    "jwt-secret": "j" * 32,
    "redis-url": "rediss://:password@redis.example:6379/0",
    "amqp-url": "amqps://parley:password@rabbitmq.example:5671/",
    "mongo-url": "mongodb+srv://parley:password@mongo.example/",
}


@functools.cache
def render(folder: str) -> tuple[Manifest, ...]:
    """What ``kubectl apply --kustomize`` would send."""
    kubectl = ROOT / ".venv" / "bin" / "kubectl"
    command = [str(kubectl), "kustomize", str(ROOT / "k8s" / folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


@dataclass(frozen=True)
class Overlay:
    """One overlay, rendered."""

    name: str
    manifests: tuple[Manifest, ...]

    def of_kind(self, *kinds: str) -> Iterator[Manifest]:
        """Those of these kinds."""
        return (manifest for manifest in self.manifests if manifest["kind"] in kinds)

    def one(self, kind: str, name: str) -> Manifest:
        """The one of this kind and name."""
        (found,) = (m for m in self.of_kind(kind) if m["metadata"]["name"] == name)
        return found

    def workloads(self) -> Iterator[tuple[str, Manifest]]:
        """All pods, ours and the backing servers', by the name of what makes them: pod template."""
        for manifest in self.of_kind("Deployment", "StatefulSet", "Job", "CronJob"):
            spec = manifest["spec"]
            template = spec["jobTemplate"]["spec"]["template"] if "jobTemplate" in spec else spec["template"]
            yield template["metadata"]["labels"]["app.kubernetes.io/name"], template

    def pod(self, name: str) -> Manifest:
        """The pod template of one workload."""
        return dict(self.workloads())[name]

    def ours(self) -> Iterator[tuple[str, Manifest]]:
        """The pods that run the image of Parley."""
        return ((name, pod) for name, pod in self.workloads() if name in SETTINGS)

    def environment(self, name: str) -> dict[str, str]:
        """What a container of ours finds in its environment; secrets that nobody brings hold samples."""
        secrets = dict(SAMPLE_SECRETS)
        for secret in self.of_kind("Secret"):
            secrets |= {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        (container,) = self.pod(name)["spec"]["containers"]
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            found |= self.one("ConfigMap", source["configMapRef"]["name"])["data"]
        for variable in container.get("env", ()):
            if "value" in variable:
                found[variable["name"]] = variable["value"]
                continue
            reference = variable["valueFrom"]["secretKeyRef"]
            assert reference["name"] == "parley"
            found[variable["name"]] = secrets[reference["key"]]
        return found


def overlay(name: str) -> Overlay:
    """An overlay by the name of its folder."""
    return Overlay(name, render(f"overlays/{name}"))


def selected(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector means something with these labels."""
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(
        expression["operator"] == "In" and labels.get(expression["key"]) in expression["values"]
        for expression in selector.get("matchExpressions", ())
    )
