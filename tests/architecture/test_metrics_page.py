"""docs/metrics.md lists every metric, and each is made in a module of its own kind."""

import ast
import re
from pathlib import Path
from typing import Final

from tests.architecture.measurements import MODULES, Metric, all_metrics, metrics_of

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "metrics.md"
PACKAGES: Final = ("mesh", "edge", "chat_service", "persist_service", "notify_service", "admin")


def row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning.removesuffix('.')} |"


def rows_by_heading() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    heading = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("| `parley_"):
            found.setdefault(heading, []).append(line)
    return found


def test_the_page_lists_every_metric_with_its_type_its_labels_and_its_meaning() -> None:
    expected: dict[str, list[str]] = {}
    for module, heading in MODULES.items():
        expected.setdefault(heading, []).extend(row(metric) for metric in metrics_of(module))
    assert rows_by_heading() == expected


def test_names_follow_the_conventions_of_prometheus() -> None:
    metrics = all_metrics()
    assert len(metrics) > 50
    for metric in metrics.values():
        assert re.fullmatch(r"parley_[a-z_]+", metric.name)
        assert metric.meaning.endswith(".")
        # Times are in seconds and sizes in bytes (https://prometheus.io/docs/practices/naming/).
        assert not re.search(r"_(ms|millis|milliseconds|minutes|kb|mb)(_|$)", metric.name)
        # Whatever names one of many users, chats or connections would make a series for each.
        assert not {"user", "user_id", "chat", "chat_id", "connection", "message_id", "address"} & set(
            metric.labels
        )


def test_metrics_are_made_in_the_modules_for_them_only() -> None:
    homes = {f"{module.replace('.', '/')}.py" for module in MODULES}
    makers = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"Counter", "Gauge", "Histogram", "Summary", "Info"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert makers == homes
