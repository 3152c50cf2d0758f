"""What `check` finds without connecting to anything."""

import json
import os

import pytest

from admin.__main__ import main
from admin.check import SERVICES
from admin.reach import without_password
from admin.settings import DatabaseSettings
from mesh.settings import variable_name
from notify_service.settings import NotifySettings
from persist_service.settings import PersistSettings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PARLEY_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "SERVICE_SECRET": "s" * 32,
        "JWT_SECRET": "j" * 32,
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "AMQP_URL": "amqp://guest:hunter2@127.0.0.1/",
        "MONGO_URL": "mongodb://127.0.0.1",
    }.items():
        monkeypatch.setenv(f"PARLEY_{name}", value)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(("check", "--settings-only", *arguments))
    except SystemExit as end:
        code = int(end.code or 0)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_good_settings_are_usable(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys) == (0, "the settings of edge, chat, persist, notify are usable\n", "")


def test_all_problems_of_all_services_are_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_AMQP_URL", "http://guest:hunter2@127.0.0.1/")
    monkeypatch.setenv("PARLEY_NOTIFY_SMTP_HOST", "mail.example")
    monkeypatch.setenv("PARLEY_MONGODB_URL", "mongodb://127.0.0.1")
    monkeypatch.delenv("PARLEY_JWT_SECRET")
    code, out, err = run(capsys, "--json")
    assert code == 78
    found = {each["variable"]: each["of"] for each in json.loads(out)["problems"]}
    assert found["PARLEY_AMQP_URL"] == ["chat", "persist", "notify"]
    assert found["PARLEY_JWT_JWKS_URL"] == ["edge"]
    assert found["PARLEY_NOTIFY_SMTP_FROM"] == ["notify"]
    assert "PARLEY_MONGODB_URL is read by nobody; is PARLEY_MONGO_URL meant?" in err
    assert "hunter2" not in out + err


def test_only_the_services_that_are_named_are_checked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARLEY_JWT_SECRET")
    assert run(capsys, "chat", "persist")[0] == 0
    assert run(capsys, "edge")[0] == 78


def test_a_service_that_does_not_exist_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "mail")
    assert code == 2
    assert "none of edge, chat, persist, notify" in err


def test_what_may_be_a_mistake_is_told_beside(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_CHAT_CONTENT_LIMITS", "100")
    monkeypatch.setenv("PARLEY_CHAT_PORT", "8080")
    code, _, err = run(capsys)
    assert code == 0
    assert "PARLEY_CHAT_CONTENT_LIMITS is read by nobody; is PARLEY_CHAT_CONTENT_LIMIT meant?" in err
    assert "PARLEY_EDGE_PORT and PARLEY_CHAT_PORT are both 8080" in err


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hunter2@redis:6379/0", "redis:6379/0"),
        ("amqp://user:hun@ter2@host/", "host"),
        ("mongodb://u:hunter2@a,b/db?authSource=x&tlsCertificateKeyFilePassword=hunter2", "a,b/db"),
        ("rediss://:hun/ter2@redis", "redis"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_commands_and_services_have_the_same_defaults() -> None:
    fields = DatabaseSettings.model_fields
    assert fields["persist_database"].default == PersistSettings.model_fields["persist_database"].default
    assert fields["notify_ledger_days"].default == NotifySettings.model_fields["notify_ledger_days"].default


_NUMBERS = sorted(
    {
        variable_name(name)
        for settings in SERVICES.values()
        for name, field in settings.model_fields.items()
        if field.annotation in {int, float}
    }
)


@pytest.mark.parametrize("text", ["inf", "nan", "-inf", "1e999", "²", "٣", "9" * 4301])
def test_a_number_of_the_settings_is_finite_and_in_plain_digits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    for name in _NUMBERS:
        monkeypatch.setenv(name, text)
    code, out, _ = run(capsys, "--json")
    assert code == 78
    told = {problem["variable"] for problem in json.loads(out)["problems"]}
    assert told >= set(_NUMBERS), "each is refused"


def test_descriptors_that_do_not_suffice_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("admin.check.hard_limit", lambda: 1000)
    assert "1000 here" in run(capsys)[2]
    monkeypatch.setattr("admin.check.hard_limit", lambda: 10_000)
    assert run(capsys)[2] == ""
    monkeypatch.setenv("PARLEY_EDGE_CONNECTIONS", "9745")
    code, _, told = run(capsys)
    assert code == 0
    assert "PARLEY_EDGE_CONNECTIONS is 9745" in told
    assert "leaves 9744" in told
