"""Alerts and the dashboard ask for metrics that exist, fire when they should, and lead to a runbook."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from devstack.programs import find_promtool
from mesh.amqp.topology import QUEUES, RETRY_TIERS, dead_queue
from tests.architecture.measurements import Metric, all_metrics
from tests.deployment.manifests import ROOT, SERVICES, overlay

FOLDER: Final = ROOT / "k8s" / "components" / "monitoring"
TESTS: Final = Path(__file__).with_name("rules_test.yaml")
PAGE: Final = ROOT / "docs" / "operations.md"
RUNBOOKS: Final = "https://parley.example/docs/operations.md#"

RULES: Final = yaml.safe_load((FOLDER / "rules.yaml").read_text())["spec"]
ALERTS: Final[dict[str, Any]] = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
DASHBOARD: Final = json.loads((FOLDER / "dashboard.json").read_text())
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

BY_SERIES: Final[dict[str, Metric]] = {
    series: metric for metric in all_metrics().values() for series in metric.series
}
# Of the Prometheus client, and what Prometheus itself adds to every series.
STANDARD_SERIES: Final = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
SCRAPED_LABELS: Final = {"job", "instance"}


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression with where it stands. Grafana fills its variable in, as is done here."""
    for name, rule in ALERTS.items():
        yield name, rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


def promtool(*arguments: str, cwd: Path) -> None:
    program = find_promtool()
    assert program is not None, "promtool is missing: make setup"
    done = subprocess.run(
        [program, *arguments], cwd=cwd, check=False, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def rules_folder(tmp_path: Path) -> Path:
    """A folder with the rules as Prometheus itself reads them, and their tests."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES))
    shutil.copy(TESTS, tmp_path)
    return tmp_path


def test_prometheus_takes_the_rules(rules_folder: Path) -> None:
    assert len(ALERTS) == sum(len(group["rules"]) for group in RULES["groups"])  # no name is there twice
    promtool("check", "rules", "rules.yaml", cwd=rules_folder)


def test_alerts_fire_when_they_should_and_only_then(rules_folder: Path) -> None:
    promtool("test", "rules", TESTS.name, cwd=rules_folder)


def test_each_alert_is_shown_to_fire_and_to_be_silent() -> None:
    shown: dict[bool, set[str]] = {True: set(), False: set()}
    for test in yaml.safe_load(TESTS.read_text())["tests"]:
        for case in test["alert_rule_test"]:
            shown[bool(case["exp_alerts"])].add(case["alertname"])
    assert shown[True] == shown[False] == set(ALERTS)


def test_prometheus_takes_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    recorded = [
        {"record": f"panel:{number}", "expr": expression}
        for number, (_, expression) in enumerate(expressions())
    ]
    rules = {"groups": [{"name": "all", "rules": recorded}]}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(rules))
    promtool("check", "rules", "all.yaml", cwd=tmp_path)


def strangers_in(expression: str) -> set[str]:
    """The series and labels of an expression that the code does not have."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    asked = set(re.findall(r"\b((?:parley|process)_[a-z_]+)", bare))
    strangers = asked - BY_SERIES.keys() - STANDARD_SERIES
    known = set(SCRAPED_LABELS)
    for series in asked & BY_SERIES.keys():
        labels = {*BY_SERIES[series].labels, *(("le",) if series.endswith("_bucket") else ())}
        known |= labels
        for selector in re.findall(rf"\b{series}\{{(.*?)\}}", bare):
            strangers |= set(re.findall(r"(\w+)\s*[!=]", selector)) - labels - SCRAPED_LABELS
    for grouping in re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", bare):
        strangers |= {label.strip() for label in grouping.split(",")} - known
    return strangers


def test_expressions_ask_for_series_and_labels_that_exist() -> None:
    found = {(where, name) for where, expression in expressions() for name in strangers_in(expression)}
    assert found == set()


@pytest.mark.parametrize(
    ("expression", "stranger"),
    [
        ("parley_no_such_total", "parley_no_such_total"),
        ("parley_redis_seconds", "parley_redis_seconds"),  # a histogram has no series of its own name
        ('sum(rate(parley_chat_sends_total{code="OK"}[5m]))', "code"),
        ("sum by (user, job) (parley_edge_connections)", "user"),
    ],
)
def test_what_does_not_exist_is_noticed(expression: str, stranger: str) -> None:
    assert strangers_in(expression) == {stranger}


def test_queues_and_parts_that_are_named_exist() -> None:
    queues = {*QUEUES, *map(dead_queue, QUEUES), *(tier.name for tier in RETRY_TIERS)}
    for _, expression in expressions():
        assert set(re.findall(r'queue!?="([^"]*)"', expression)) <= queues
        for pattern in re.findall(r'queue[!=]~"([^"]*)"', expression):
            assert any(re.fullmatch(pattern.replace("\\\\", "\\"), queue) for queue in queues)
        assert set(re.findall(r'part="([^"]*)"', expression)) <= set(SERVICES)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_urgent_it_is_and_where_its_runbook_is(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert set(rule["annotations"]) == {"summary", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}{name.lower()}"


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    _, _, part = PAGE.read_text().partition("\n## Runbooks\n")
    part, _, _ = part.partition("\n## ")
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", part, flags=re.MULTILINE | re.DOTALL))
    assert set(sections) == set(ALERTS)
    for name, text in sections.items():
        assert all(f"**{word}.**" in text for word in ("Means", "Look", "Do")), name


def test_runbooks_name_metrics_that_exist() -> None:
    databases = {"parley_notify"}
    named = set(re.findall(r"`(parley_[a-z_]+)", PAGE.read_text())) - databases
    assert named <= BY_SERIES.keys() | all_metrics().keys()


def test_the_dashboard_is_one_that_grafana_draws() -> None:
    """https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert cells.isdisjoint(taken), panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    source = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters))
        assert all(target["datasource"] == source for target in [panel, *panel["targets"]])


def test_production_brings_the_rules_and_the_dashboard() -> None:
    prod = overlay("prod")
    (rules,) = prod.of_kind("PrometheusRule")
    assert rules["spec"] == RULES
    config = prod.one("ConfigMap", "parley-dashboard")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config["data"]["dashboard.json"]) == DASHBOARD


def test_prometheus_scrapes_the_admin_port_of_each_service() -> None:
    prod = overlay("prod")
    (monitor,) = prod.of_kind("ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    (expression,) = monitor["spec"]["selector"]["matchExpressions"]
    found = {
        service["metadata"]["labels"]["app.kubernetes.io/name"]
        for service in prod.of_kind("Service")
        if service["metadata"]["labels"].get("app.kubernetes.io/name") in expression["values"]
        and endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    }
    assert found == set(SERVICES)
