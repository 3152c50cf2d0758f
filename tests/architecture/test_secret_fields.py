"""What holds a secret does not show it: a `repr` ends in logs and tracebacks."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from admin.settings import BrokerSettings, CallerSettings, StatsSettings
from chat_service.settings import ChatSettings
from edge.settings import EdgeSettings
from notify_service.settings import NotifySettings
from persist_service.settings import PersistSettings

PACKAGES = ("contract", "mesh", "edge", "chat_service", "persist_service", "notify_service", "admin")
SECRET = re.compile(r"(^|_)(secret|password|passphrase|private_key|auth)$")


def _classes() -> Iterator[type]:
    for package in PACKAGES:
        root = importlib.import_module(package)
        for found in pkgutil.walk_packages(root.__path__, f"{package}."):
            if not found.name.endswith("__main__"):
                module = importlib.import_module(found.name)
                for _, kind in inspect.getmembers(module, inspect.isclass):
                    if kind.__module__ == module.__name__:
                        yield kind


def test_no_dataclass_shows_a_secret() -> None:
    fields = [
        (f"{kind.__module__}.{kind.__qualname__}.{field.name}", field)
        for kind in _classes()
        if dataclasses.is_dataclass(kind)
        for field in dataclasses.fields(kind)
        if SECRET.search(field.name) and field.type not in {SecretStr, "SecretStr"}
    ]
    assert len(fields) >= 3, "the test finds what it looks for"
    assert [name for name, field in fields if field.repr] == []


@pytest.mark.parametrize(
    "settings",
    [
        EdgeSettings,
        ChatSettings,
        PersistSettings,
        NotifySettings,
        BrokerSettings,
        CallerSettings,
        StatsSettings,
    ],
)
def test_no_settings_show_a_secret(settings: type) -> None:
    for name, field in settings.model_fields.items():  # type: ignore[attr-defined]
        if SECRET.search(name) or name in {"redis_url", "amqp_url", "mongo_url"}:
            assert "SecretStr" in str(field.annotation), name
