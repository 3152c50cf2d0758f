"""The manifests agree with Kubernetes, with one another and with what the processes do."""

import importlib.util
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes_validate
import pytest

from mesh.rpc.tls import service_names
from mesh.settings import variable_name
from tests.deployment.manifests import (
    OVERLAYS,
    ROOT,
    SERVICES,
    SETTINGS,
    TLS_FOLDER,
    Manifest,
    Overlay,
    overlay,
    selected,
)
from tests.support.authority import Authority

VERSIONS = ("1.31", "1.34", "1.37")
# Where a URL names none.
DEFAULT_PORTS = {"mongodb+srv": 27017}
# Of the Prometheus operator and of cert-manager: Kubernetes itself knows no schema for them.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "Certificate"}


@pytest.fixture(params=OVERLAYS)
def rendered(request: pytest.FixtureRequest) -> Overlay:
    return overlay(request.param)


def container_of(pod: Manifest) -> Manifest:
    (container,) = pod["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def ports_of(pod: Manifest) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container_of(pod).get("ports", ())}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_manifest(rendered: Overlay, version: str) -> None:
    for manifest in rendered.manifests:
        if manifest["kind"] not in FOREIGN:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_field_is_not_taken() -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "x"},
        "spec": {"ports": [{"port": 1, "targetProt": 2}]},
    }
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)


def test_everything_is_there_for_each_service(rendered: Overlay) -> None:
    for kind in ("Deployment", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"):
        assert {manifest["metadata"]["name"] for manifest in rendered.of_kind(kind)} >= set(SERVICES)
    assert all(m["metadata"]["namespace"] == "parley" for m in rendered.manifests if m["kind"] != "Namespace")


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder such as cert-manager's Secret makes when it is mounted."""
    key, _, certificate = (
        Authority(tmp_path).issue("service").read_text().partition("-----BEGIN CERTIFICATE-----")
    )
    (tmp_path / "tls.key").write_text(key)
    (tmp_path / "tls.crt").write_text(f"-----BEGIN CERTIFICATE-----{certificate}")
    (tmp_path / "ca.pem").rename(tmp_path / "ca.crt")
    return tmp_path


def test_each_process_finds_settings_that_it_knows_and_takes(rendered: Overlay, certificates: Path) -> None:
    for name, pod in rendered.ours():
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in rendered.environment(name).items():
                patch.setenv(variable, value.replace(TLS_FOLDER, str(certificates)))
            SETTINGS[name]()  # raises when one is missing or not usable
        own = {variable["name"] for variable in container_of(pod).get("env", ())}
        assert own <= {variable_name(field) for field in SETTINGS[name].model_fields}


def test_the_shared_settings_are_known_to_somebody(rendered: Overlay) -> None:
    known = {variable_name(field) for settings in SETTINGS.values() for field in settings.model_fields}
    assert set(rendered.one("ConfigMap", "parley")["data"]) <= known


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_those_that_the_process_listens_on(rendered: Overlay, name: str) -> None:
    fields = SETTINGS[name].model_fields
    listens = {fields[f"{name}_port"].default, fields[f"{name}_admin_port"].default}
    assert set(ports_of(rendered.pod(name)).values()) == listens


def test_each_service_leads_to_ports_that_its_pods_have(rendered: Overlay) -> None:
    pods = [pod for _, pod in rendered.workloads()]
    for service in rendered.of_kind("Service"):
        chosen = [
            p for p in pods if selected({"matchLabels": service["spec"]["selector"]}, p["metadata"]["labels"])
        ]
        assert len(chosen) == 1, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports_of(chosen[0])
            if service["spec"].get("clusterIP") == "None":
                # Whoever looks up the name gets pods, so nobody translates the port.
                assert port["port"] == ports_of(chosen[0])[port["targetPort"]]


def test_grpc_targets_are_headless_services(rendered: Overlay) -> None:
    config = rendered.one("ConfigMap", "parley")["data"]
    targets = {key: value for key, value in config.items() if key.endswith("_TARGET")}
    assert set(targets) == {f"PARLEY_{name}_TARGET" for name in ("CHAT", "PERSIST", "NOTIFY")}
    for target in targets.values():
        host, _, port = urlsplit(target).path.removeprefix("/").partition(":")
        service = rendered.one("Service", host)
        assert service["spec"]["clusterIP"] == "None"
        assert int(port) in {each["port"] for each in service["spec"]["ports"]}


def test_probes_ask_ports_and_paths_that_answer(rendered: Overlay) -> None:
    for name in SERVICES:
        pod = rendered.pod(name)
        ports, container = ports_of(pod), container_of(pod)
        for probe in ("startupProbe", "livenessProbe"):
            assert container[probe]["httpGet"] == {"path": "/healthz", "port": "admin"}
        ready = container["readinessProbe"]
        if name == "edge" or "PARLEY_TLS_CERT_FILE" in rendered.environment(name):
            # The kubelet shows no certificate, so it cannot ask by gRPC.
            assert ready["httpGet"] == {"path": "/readyz", "port": "admin"}
            assert "grpc" not in ready
        else:
            assert ready["grpc"]["port"] == ports["grpc"]
        # A liveness probe that is satisfied later than the start-up probe gives up would kill a slow start.
        assert (
            container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] >= 30
        )


def test_a_pod_has_time_for_its_whole_drain(rendered: Overlay) -> None:
    drain = float(rendered.one("ConfigMap", "parley")["data"]["PARLEY_DRAIN_SECONDS"])
    for name in SERVICES:
        spec = rendered.pod(name)["spec"]
        before = container_of(rendered.pod(name))["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert spec["terminationGracePeriodSeconds"] >= before + drain + 5


def test_each_process_can_be_started_by_its_argument(rendered: Overlay) -> None:
    for name, pod in rendered.ours():
        container = container_of(pod)
        if "command" not in container:
            assert importlib.util.find_spec(f"{container['args'][0]}.__main__") is not None, name


def test_pods_keep_the_restricted_standard(rendered: Overlay) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, and a read-only root."""
    level = rendered.one("Namespace", "parley")["metadata"]["labels"]
    assert level["pod-security.kubernetes.io/enforce"] == "restricted"
    for _, pod in rendered.workloads():
        spec, container = pod["spec"], container_of(pod)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert not any("hostPath" in volume for volume in spec.get("volumes", ()))


def test_images_name_an_exact_version(rendered: Overlay) -> None:
    for _, pod in rendered.workloads():
        name, _, tag = container_of(pod)["image"].rpartition(":")
        assert name
        assert tag
        assert tag != "latest"


def test_what_runs_in_production_is_of_one_release_and_its_migration_is_named_after_it() -> None:
    prod = overlay("prod")
    tags = {container_of(pod)["image"].rpartition(":")[2] for _, pod in prod.ours()}
    release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert tags == {release}
    (job,) = prod.of_kind("Job")
    assert job["metadata"]["name"] == f"migrate-{release.replace('.', '-')}"


def test_secrets_come_by_reference_and_exist_in_development(rendered: Overlay) -> None:
    used = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for _, pod in rendered.ours()
        for variable in container_of(pod).get("env", ())
        if "valueFrom" in variable
    }
    assert {"service-secret", "redis-url", "amqp-url", "mongo-url"} <= used
    if rendered.name == "dev":
        assert used <= set(rendered.one("Secret", "parley")["data"])
    else:
        # Nobody's password is in a repository.
        assert not list(rendered.of_kind("Secret"))


def test_a_disruption_leaves_pods_of_each_service(rendered: Overlay) -> None:
    for budget in rendered.of_kind("PodDisruptionBudget"):
        chosen = [
            name
            for name, pod in rendered.workloads()
            if selected(budget["spec"]["selector"], pod["metadata"]["labels"])
        ]
        assert chosen == [budget["metadata"]["name"]]
        assert budget["spec"]["maxUnavailable"] == 1
    for scaler in rendered.of_kind("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        # A number there would undo the autoscaler's each time that the manifests are applied.
        assert "replicas" not in rendered.one(target["kind"], target["name"])["spec"]
        assert 2 <= scaler["spec"]["minReplicas"] <= scaler["spec"]["maxReplicas"]


def test_production_gives_each_service_a_certificate_of_its_own() -> None:
    prod = overlay("prod")
    certificates = {c["spec"]["secretName"]: c["spec"]["dnsNames"] for c in prod.of_kind("Certificate")}
    for name in SERVICES:
        pod = prod.pod(name)
        (volume,) = (each for each in pod["spec"]["volumes"] if each["name"] == "tls")
        names = certificates[volume["secret"]["secretName"]]
        assert service_names(each.encode() for each in names) == {name}
        (mount,) = container_of(pod)["volumeMounts"]
        assert mount == {"name": "tls", "mountPath": TLS_FOLDER, "readOnly": True}
    # gRPC checks the certificate against the name in the target.
    for target in ("chat", "persist", "notify"):
        assert f"{target}-headless" in certificates[f"{target}-tls"]


def test_production_scales_edges_by_their_connections() -> None:
    metrics = overlay("prod").one("HorizontalPodAutoscaler", "edge")["spec"]["metrics"]
    assert {metric["type"] for metric in metrics} == {"Resource", "Pods"}


class TestNetwork:
    """Nothing goes but what is listed, and what the settings name can be reached."""

    def test_the_default_is_to_deny(self, rendered: Overlay) -> None:
        default = rendered.one("NetworkPolicy", "default-deny")["spec"]
        assert default == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    def test_policies_name_ports_that_exist(self, rendered: Overlay) -> None:
        for policy in rendered.of_kind("NetworkPolicy"):
            spec = policy["spec"]
            chosen = [
                pod
                for name, pod in rendered.workloads()
                if selected(spec["podSelector"], pod["metadata"]["labels"])
            ]
            assert chosen, policy["metadata"]["name"]
            for rule in spec.get("ingress", ()):
                for port in rule["ports"]:
                    assert any(port["port"] in ports_of(pod) for pod in chosen), policy["metadata"]["name"]

    @pytest.mark.parametrize(
        ("caller", "callee"),
        [
            ("edge", "chat"),
            ("edge", "notify"),
            ("chat", "persist"),
            ("notify", "persist"),
        ],
    )
    def test_callers_reach_those_they_call(self, rendered: Overlay, caller: str, callee: str) -> None:
        there, here = rendered.pod(callee), rendered.pod(caller)
        outgoing = rendered.one("NetworkPolicy", caller)["spec"]["egress"]
        incoming = rendered.one("NetworkPolicy", callee)["spec"]["ingress"]
        assert any(
            selected(peer["podSelector"], there["metadata"]["labels"])
            for rule in outgoing
            for peer in rule.get("to", ())
            if "podSelector" in peer
        )
        assert any(
            selected(peer["podSelector"], here["metadata"]["labels"])
            for rule in incoming
            for peer in rule["from"]
            if "podSelector" in peer
        )

    @pytest.mark.parametrize(
        ("policy", "variable"),
        [
            ("uses-redis", "PARLEY_REDIS_URL"),
            ("uses-rabbitmq", "PARLEY_AMQP_URL"),
            ("uses-mongodb", "PARLEY_MONGO_URL"),
        ],
    )
    def test_backing_servers_are_reached_by_those_who_have_their_url(
        self, rendered: Overlay, policy: str, variable: str
    ) -> None:
        spec = rendered.one("NetworkPolicy", policy)["spec"]
        ports = {port["port"] for rule in spec["egress"] for port in rule["ports"]}
        for name, pod in rendered.ours():
            url = rendered.environment(name).get(variable)
            assert selected(spec["podSelector"], pod["metadata"]["labels"]) is (url is not None), name
            assert url is None or (urlsplit(url).port or DEFAULT_PORTS[urlsplit(url).scheme]) in ports

    def test_push_goes_to_no_private_network(self, rendered: Overlay) -> None:
        outgoing = rendered.one("NetworkPolicy", "notify")["spec"]["egress"]
        blocks = [peer["ipBlock"] for rule in outgoing for peer in rule.get("to", ()) if "ipBlock" in peer]
        assert {"10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"} <= set(blocks[0]["except"])


def test_an_idle_websocket_outlives_the_proxy() -> None:
    heartbeat = SETTINGS["edge"].model_fields["edge_heartbeat_seconds"].default
    annotations = overlay("prod").one("Ingress", "edge")["metadata"]["annotations"]
    for direction in ("read", "send"):
        assert float(annotations[f"nginx.ingress.kubernetes.io/proxy-{direction}-timeout"]) > 2 * heartbeat
