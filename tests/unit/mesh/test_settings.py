from pathlib import Path

import pytest

from mesh.settings import (
    AmqpUrl,
    CommaSeparated,
    GrpcTarget,
    HttpUrl,
    MeshSettings,
    MongoUrl,
    Port,
    PositiveSeconds,
    RedisUrl,
    load,
    unknown_variables,
)
from tests.support.authority import Authority

SECRET = "s" * 32


class ServiceSettings(MeshSettings):
    redis_url: RedisUrl
    amqp_url: AmqpUrl
    chat_port: Port = 50051
    push_timeout_seconds: PositiveSeconds = 3.0
    jwt_algorithms: CommaSeparated = ("HS256",)
    persist_target: GrpcTarget = "dns:///127.0.0.1:50052"


class Urls(ServiceSettings):
    mongo_url: MongoUrl


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_SERVICE_SECRET", SECRET)
    monkeypatch.setenv("PARLEY_REDIS_URL", "redis://127.0.0.1:6379/0")
    monkeypatch.setenv("PARLEY_AMQP_URL", "amqp://guest:guest@127.0.0.1/")


def _refused(capsys: pytest.CaptureFixture[str], settings_class: type[MeshSettings] = ServiceSettings) -> str:
    with pytest.raises(SystemExit) as exited:
        load(settings_class)
    assert exited.value.code == 78
    return capsys.readouterr().err


def test_defaults_are_safe_for_production() -> None:
    settings = load(ServiceSettings)
    assert settings.env == "production"
    assert not settings.is_development
    assert settings.bind_host == "127.0.0.1"
    assert settings.chat_port == 50051


def test_names_are_read_in_any_case_and_lists_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("parley_chat_port", "0")
    monkeypatch.setenv("PARLEY_JWT_ALGORITHMS", "RS256, ES256,")
    settings = load(ServiceSettings)
    assert settings.chat_port == 0
    assert settings.jwt_algorithms == ("RS256", "ES256")


def test_all_problems_are_told_at_once_without_any_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_ENV", "staging")
    monkeypatch.setenv("PARLEY_SERVICE_SECRET", "hunter2")
    monkeypatch.setenv("PARLEY_REDIS_URL", "http://admin:hunter2@redis")
    monkeypatch.delenv("PARLEY_AMQP_URL")
    monkeypatch.setenv("PARLEY_CHAT_PORT", "65536")
    monkeypatch.setenv("PARLEY_PUSH_TIMEOUT_SECONDS", "-1")
    monkeypatch.setenv("PARLEY_PERSIST_TARGET", "two words")
    told = _refused(capsys)
    for variable in (
        "ENV",
        "SERVICE_SECRET",
        "REDIS_URL",
        "AMQP_URL",
        "CHAT_PORT",
        "PUSH_TIMEOUT_SECONDS",
        "PERSIST_TARGET",
    ):
        assert f"PARLEY_{variable}: " in told
    assert "PARLEY_AMQP_URL: is not set" in told
    assert "redis:// or rediss://" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PARLEY_REDIS_URL", "redis://"),
        ("PARLEY_REDIS_URL", "redis://host:notaport"),
        ("PARLEY_REDIS_URL", "redis://a:6379,b:6379"),  # the nodes of a cluster have a scheme of their own
        ("PARLEY_REDIS_URL", "redis+cluster://a:6379,:6379"),
        ("PARLEY_REDIS_URL", "redis+cluster://a:6379,b:70000"),
        ("PARLEY_REDIS_URL", "redis+cluster://a:6379/1"),
        ("PARLEY_AMQP_URL", "amqp://user:secret@a:5672,b:notaport/"),
        ("PARLEY_AMQP_URL", "redis://host"),
        ("PARLEY_CHAT_PORT", "eighty"),
        ("PARLEY_PUSH_TIMEOUT_SECONDS", "inf"),
        ("PARLEY_PUSH_TIMEOUT_SECONDS", "nan"),
        ("PARLEY_DRAIN_SECONDS", "0"),
        ("PARLEY_BIND_HOST", ""),
        ("PARLEY_LOG_LEVEL", "LOUD"),
        ("PARLEY_PERSIST_TARGET", ""),
    ],
)
def test_one_bad_value_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    told = _refused(capsys)
    assert f"\n  {variable}: " in told
    assert told.count("PARLEY_") == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PARLEY_REDIS_URL", "redis+cluster://user:p%40ss@a:6379,b,[::1]:6380"),
        ("PARLEY_REDIS_URL", "rediss+cluster://a/0?ssl_ca_certs=CA"),
        ("PARLEY_AMQP_URL", "amqps://user:secret@a,b:5671,c/vhost?cafile=CA"),
        ("PARLEY_MONGO_URL", "mongodb://user:secret@a:27017,b:27017,c/?replicaSet=rs0"),
        ("PARLEY_MONGO_URL", "mongodb+srv://user:secret@cluster.example/?srvMaxHosts=2&w=majority"),
    ],
)
def test_urls_may_name_the_nodes_of_a_cluster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str
) -> None:
    value = value.replace("CA", str(Authority(tmp_path).ca_file))
    monkeypatch.setenv("PARLEY_MONGO_URL", "mongodb://one")
    monkeypatch.setenv(variable, value)
    found = getattr(load(Urls), variable.removeprefix("PARLEY_").lower())
    assert found.get_secret_value() == value


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        # Each of these was taken once: it came to light as a process that never connected, or that ran
        # without what was asked for.
        ("PARLEY_REDIS_URL", "redis://:hunter2@a/db", "the database must be a number"),
        ("PARLEY_REDIS_URL", "redis://:hunter2@a/?foo=hunter2&client_name=x", "look at its options: foo\n"),
        ("PARLEY_REDIS_URL", "redis+cluster://:hunter2@a,b?socket_timeout=hunter2", "socket_timeout"),
        ("PARLEY_REDIS_URL", "rediss://:hunter2@a/?ssl_ca_certs=/hunter2", "ssl_ca_certs"),
        ("PARLEY_AMQP_URL", "amqps://user:hunter2@a,b/?cafile=/hunter2", "cafile"),
        ("PARLEY_MONGO_URL", "mongodb://user:hunter2%@a/", "percent-encoding"),
        ("PARLEY_MONGO_URL", "mongodb://user:hunter2@a/?w=hunter2&tlsCAFile=/hunter2", "tlsCAFile"),
        ("PARLEY_MONGO_URL", "mongodb://user:hunter2@a/?readPreference=hunter2", "readPreference"),
        ("PARLEY_MONGO_URL", "mongodb+srv://user:hunter2@a.example/?apName=hunter2", "apName"),
        ("PARLEY_MONGO_URL", "mongodb://user:12?hunter2@a/", "one that is no name"),
        ("PARLEY_MONGO_URL", "mongodb://a,b/?directConnection=true", "directConnection"),
    ],
)
def test_a_url_that_its_client_would_not_take_whole_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv("PARLEY_MONGO_URL", "mongodb://one")
    monkeypatch.setenv(variable, value)
    refusal = _refused(capsys, Urls)
    assert variable in refusal
    assert told in refusal
    assert refusal.count("PARLEY_") == 1
    assert "hunter2" not in refusal


def test_other_url_kinds_check_their_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherUrls(MeshSettings):
        mongo_url: MongoUrl
        jwks_url: HttpUrl

    monkeypatch.setenv("PARLEY_MONGO_URL", "mongodb+srv://cluster.example/parley")
    monkeypatch.setenv("PARLEY_JWKS_URL", "https://id.example/jwks.json")
    assert load(OtherUrls).jwks_url == "https://id.example/jwks.json"
    monkeypatch.setenv("PARLEY_JWKS_URL", "file:///etc/passwd")
    with pytest.raises(SystemExit):
        load(OtherUrls)


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    assert SECRET not in repr(load(ServiceSettings))
    assert "guest:guest" not in repr(load(ServiceSettings))


def test_settings_do_not_change() -> None:
    settings = load(ServiceSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.chat_port = 1


def test_an_unknown_variable_is_told_and_another_services_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PARLEY_CHAT_PROT", "1")
    monkeypatch.setenv("PARLEY_DRAIN_SECOND", "1")
    monkeypatch.setenv("PARLEY_EDGE_PORT", "8080")
    monkeypatch.setenv("PARLEY_NOTIFY_TARGET", "dns:///n:1")
    monkeypatch.setenv("PARLEY_MONGO_URL", "mongodb://m")
    monkeypatch.setenv("PARLEY_DEVSTACK_PORTS", "+10000")
    monkeypatch.setenv("PARLEY_CHAT_UNHEARD_OF", "1")
    monkeypatch.setenv("PARLEY_COLOUR", "1")
    assert unknown_variables(ServiceSettings) == [
        ("PARLEY_CHAT_PROT", "PARLEY_CHAT_PORT"),
        ("PARLEY_CHAT_UNHEARD_OF", None),
        ("PARLEY_COLOUR", None),
        ("PARLEY_DRAIN_SECOND", "PARLEY_DRAIN_SECONDS"),
    ]


@pytest.mark.parametrize(
    "target",
    [
        "dns:///chat:50051",
        "dns://8.8.8.8/chat:50051",
        "ipv4:10.0.0.1:50051,10.0.0.2:50051",
        "ipv6:[::1]:50051",
        "unix:/run/chat.sock",
        "unix-abstract:chat",
        "xds:///chat",
        "chat:50051",
    ],
)
def test_targets_are_what_grpc_resolves(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPC_XDS_BOOTSTRAP", "/etc/xds/bootstrap.json")
    monkeypatch.setenv("PARLEY_PERSIST_TARGET", target)
    assert load(ServiceSettings).persist_target == target


@pytest.mark.parametrize("target", ["", "chat", "http://chat:50051", "dns:///chat", "chat 50051", "xds://"])
def test_other_targets_are_refused(
    target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_PERSIST_TARGET", target)
    assert "PARLEY_PERSIST_TARGET: must be a gRPC target" in _refused(capsys)


def test_xds_without_a_control_plane_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_PERSIST_TARGET", "xds:///persist")
    assert "PARLEY_PERSIST_TARGET: needs GRPC_XDS_BOOTSTRAP" in _refused(capsys)


def test_a_part_of_mutual_tls_is_told_together_with_other_problems(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_TLS_CERT_FILE", "/nowhere/tls.crt")
    monkeypatch.setenv("PARLEY_CHAT_PORT", "no port")
    told = _refused(capsys)
    assert "PARLEY_TLS_CA_FILE: goes together with PARLEY_TLS_CERT_FILE and PARLEY_TLS_KEY_FILE" in told
    assert "PARLEY_CHAT_PORT" in told


def test_files_of_mutual_tls_that_are_not_usable_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("CERT", "KEY", "CA"):
        monkeypatch.setenv(f"PARLEY_TLS_{name}_FILE", "/nowhere/file")
    assert "PARLEY_TLS_CA_FILE: /nowhere/file, /nowhere/file, /nowhere/file: No such file" in _refused(capsys)
