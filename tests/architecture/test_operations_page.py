"""docs/operations.md lists every setting of every service with its default, and explains log events."""

import re
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from chat_service.settings import ChatSettings
from edge.settings import EdgeSettings
from mesh.settings import MeshSettings, unknown_variables, variable_name
from notify_service.settings import NotifySettings
from persist_service.settings import PersistSettings

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "operations.md"
SERVICES: Final[dict[str, type[MeshSettings]]] = {
    "edge": EdgeSettings,
    "chat": ChatSettings,
    "persist": PersistSettings,
    "notify": NotifySettings,
}
PACKAGES: Final = ("mesh", "edge", "chat_service", "persist_service", "notify_service")


def shown_default(field: FieldInfo) -> str:
    """A default as the page shows it."""
    if field.is_required():
        return "**required**"
    match field.default:
        case None | () | "" | SecretStr(_secret_value=""):
            return "not set"
        case bool() as switch:
            return f"`{str(switch).lower()}`"
        case tuple() as values:
            return f"`{','.join(map(str, values))}`"
        case float() as number:
            return f"`{number:g}`"
        case value:
            return f"`{value}`"


def _rows() -> dict[str, tuple[str, set[str]]]:
    rows: dict[str, tuple[str, set[str]]] = {}
    for line in PAGE.read_text().splitlines():
        if found := re.match(r"\| `(PARLEY_\w+)` \| (.+?) \| ([a-z, ]+) \| .{8,} \|$", line):
            name, default, services = found.groups()
            assert name not in rows, f"{name} is there twice"
            rows[name] = default, set(SERVICES) if services == "all" else set(services.split(", "))
    return rows


def _expected() -> dict[str, tuple[str, set[str]]]:
    expected: dict[str, tuple[str, set[str]]] = {}
    for service, settings in SERVICES.items():
        for name, field in settings.model_fields.items():
            default, services = expected.setdefault(variable_name(name), (shown_default(field), set()))
            assert default == shown_default(field), f"{name} has two defaults"
            services.add(service)
    return expected


def test_the_page_lists_every_setting_with_its_default_and_its_services() -> None:
    rows, expected = _rows(), _expected()
    assert len(expected) > 30
    assert rows == expected


def _events() -> set[str]:
    """Every event that is logged, as the sources name them."""
    logged = re.compile(r'_log\.(?:info|warning|error|exception)\(\s*"([a-z_]+\.[a-z_]+)"')
    sources = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    outage = re.compile(r'Outage\(\s*"([a-z_]+\.[a-z_]+)", "([a-z_]+\.[a-z_]+)"')
    texts = [source.read_text() for source in sources]
    plain = {event for text in texts for event in logged.findall(text)}
    return plain | {event for text in texts for pair in outage.findall(text) for event in pair}


def _documented_events() -> set[str]:
    rows = re.findall(r"^\| ((?:`[a-z_]+\.[a-z_]+`(?:, )?)+) \|", PAGE.read_text(), flags=re.MULTILINE)
    return {event for row in rows for event in re.findall(r"`([a-z_.]+)`", row)}


def test_the_page_names_no_log_event_that_does_not_exist() -> None:
    documented = _documented_events()
    assert len(documented) > 20
    assert documented <= _events()


@pytest.mark.parametrize("area", ["amqp", "breaker", "dependency", "service", "task"])
def test_the_page_explains_every_event_of_outages(area: str) -> None:
    missing = {event for event in _events() if event.startswith(f"{area}.")} - _documented_events()
    assert not missing


def test_no_service_takes_anothers_setting_for_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in SERVICES.values():
        for field in settings.model_fields:
            monkeypatch.setenv(variable_name(field), "1")
    assert [found for settings in SERVICES.values() for found in unknown_variables(settings)] == []
