"""Settings from the environment: typed, read once, all problems reported at once.

The only module of Parley that reads the environment. A service subclasses ``MeshSettings`` and calls
``load``.
"""

import difflib
import os
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mesh.client_urls import check_amqp, check_mongo, check_redis
from mesh.logs import LogFormat, LogLevel
from mesh.rpc.tls import TlsFiles
from mesh.urls import parse_hosts

ENV_PREFIX = "PARLEY_"
_REDIS_CLUSTER: Final = ("redis+cluster", "rediss+cluster")
_SECRET_BYTES = 32  # RFC 7518 section 3.2: an HS256 key is at least as long as the hash output
EX_CONFIG = 78  # sysexits.h: "something was found in an unconfigured or misconfigured state"

# One environment often holds the settings of all services. Names that start like this belong to one of them,
# so a service that does not know such a name has no reason to complain.
_OTHER_SERVICES = ("EDGE_", "CHAT_", "PERSIST_", "NOTIFY_", "JWT_", "DEVSTACK_")
# What some services read and others do not.
_SHARED = frozenset(
    f"{ENV_PREFIX}{name}"
    for name in (
        *("REDIS_URL", "AMQP_URL", "MONGO_URL", "RPC_CONCURRENCY"),
        *("CHAT_TARGET", "PERSIST_TARGET", "NOTIFY_TARGET"),
        "JWT_LEEWAY_SECONDS",
    )
)
# Above this two names without the prefix differ by a letter, an ending or a word.
_ALIKE = 0.75


def _url_with(*schemes: str) -> Callable[[str], str]:
    def check(url: str) -> str:
        # The URL may hold a password: the messages name what is wrong and never repeat the value.
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("is not a URL") from None
        if parts.scheme not in schemes:
            raise ValueError(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        if not host:
            raise ValueError("names no host")
        return url

    return check


def _secret_url_with(*schemes: str, several_hosts: Collection[str] = ()) -> Callable[[SecretStr], SecretStr]:
    """``several_hosts``: the schemes of URLs that may name several hosts, ``a:1,b:2``."""
    check_one = _url_with(*schemes)

    def check_secret(url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if text.partition("://")[0] in several_hosts:
            parse_hosts(text)
        else:
            check_one(text)
        return url

    return check_secret


def _no_database_of_a_cluster(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if text.startswith(_REDIS_CLUSTER) and parse_hosts(text).tail.partition("?")[0] not in ("", "/", "/0"):
        raise ValueError("a cluster has no databases but 0")
    return url


def _taken_by(check: Callable[[str], None]) -> Callable[[SecretStr], SecretStr]:
    def check_secret(url: SecretStr) -> SecretStr:
        check(url.get_secret_value())
        return url

    return check_secret


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < _SECRET_BYTES:
        raise ValueError(f"must have at least {_SECRET_BYTES} bytes (make one with: openssl rand -base64 48)")
    return secret


def _split_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


# https://github.com/grpc/grpc/blob/master/doc/naming.md; without a scheme gRPC takes dns.
_TARGET: Final = re.compile(
    r"(dns:(//[^/\s]*/)?[^/\s]+:PORT|(ipv4|ipv6):\S+:PORT|unix:\S+|unix-abstract:\S+|xds:///\S+|[^:/\s]+:PORT)"
    # No sign, no other script's digits.
    .replace("PORT", "[0-9]{1,5}")
)

# https://github.com/grpc/proposal/blob/master/A27-xds-global-load-balancing.md; gRPC reads them itself.
_XDS_BOOTSTRAP: Final = ("GRPC_XDS_BOOTSTRAP", "GRPC_XDS_BOOTSTRAP_CONFIG")


def _grpc_target(target: str) -> str:
    if _TARGET.fullmatch(target) is None:
        raise ValueError("must be a gRPC target: dns:///host:port, ipv4:…, ipv6:…, unix:/path or xds:///name")
    if target.startswith("xds:") and not any(map(os.environ.get, _XDS_BOOTSTRAP)):
        raise ValueError(f"needs {' or '.join(_XDS_BOOTSTRAP)}: where gRPC finds the control plane")
    return target


Port = Annotated[int, Field(ge=0, le=65535, validate_default=True)]
"""A TCP port to listen on; 0 takes any free one."""


def other_than(field: str) -> AfterValidator:
    """For a port: one process cannot listen on it twice. `field` names the other, declared before it."""

    def check(port: int, info: ValidationInfo) -> int:
        if port and port == info.data.get(field):
            raise ValueError(f"is the same as {variable_name(field)}")
        return port

    return AfterValidator(check)


PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(gt=0)]
CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]
Secret = Annotated[SecretStr, AfterValidator(_long_enough)]
HttpUrl = Annotated[str, AfterValidator(_url_with("http", "https"))]
RedisUrl = Annotated[
    SecretStr,
    AfterValidator(_secret_url_with("redis", "rediss", *_REDIS_CLUSTER, several_hosts=_REDIS_CLUSTER)),
    AfterValidator(_no_database_of_a_cluster),
    AfterValidator(_taken_by(check_redis)),
]
AmqpUrl = Annotated[
    SecretStr,
    AfterValidator(_secret_url_with("amqp", "amqps", several_hosts=("amqp", "amqps"))),
    AfterValidator(_taken_by(check_amqp)),
]
MongoUrl = Annotated[
    SecretStr,
    AfterValidator(_secret_url_with("mongodb", "mongodb+srv", several_hosts=("mongodb",))),
    AfterValidator(_taken_by(check_mongo)),
]
GrpcTarget = Annotated[str, AfterValidator(_grpc_target)]


class EnvironmentSettings(BaseSettings):
    """What a program reads from the environment: a field ``amqp_url`` comes from ``PARLEY_AMQP_URL``."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        case_sensitive=False,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )


class MeshSettings(EnvironmentSettings):
    """What every service needs to know. A field ``drain_seconds`` is read from ``PARLEY_DRAIN_SECONDS``."""

    env: Literal["development", "production"] = "production"
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "json"
    bind_host: str = Field(default="127.0.0.1", min_length=1)
    drain_seconds: PositiveSeconds = 25.0
    traces_endpoint: HttpUrl | None = None
    """The OpenTelemetry collector that takes traces, by OTLP over gRPC."""
    traces_sample: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The share of traces that are recorded; what came with a `traceparent` does as that says."""
    rpc_http_proxy: bool = False
    """Whether gRPC, that of traces too, uses the proxy of `grpc_proxy`, `https_proxy` or `http_proxy`."""
    service_secret: Secret
    """Signs the tokens by which services know one another; the same for all of them."""
    tls_cert_file: Path | None = None
    """Certificate (PEM, with its chain) that this service shows; one of its names is the service's."""
    tls_key_file: Path | None = None
    """The key (PEM) of that certificate."""
    tls_ca_file: Path | None = Field(default=None, validate_default=True)
    """Who signs the services' certificates (PEM). The three turn mutual TLS on, and may be replaced."""

    @property
    def tls(self) -> TlsFiles | None:
        """The files of mutual TLS between services; None when it is off."""
        if self.tls_cert_file is None or self.tls_key_file is None or self.tls_ca_file is None:
            return None
        return TlsFiles(self.tls_cert_file, self.tls_key_file, self.tls_ca_file)

    # A validator of the last field, not of the model: pydantic asks those of the model only when every field
    # is good, and all problems are to be reported at once.
    @field_validator("tls_ca_file")
    @classmethod
    def _tls_is_whole(cls, ca_file: Path | None, info: ValidationInfo) -> Path | None:
        cert_file, key_file = info.data.get("tls_cert_file"), info.data.get("tls_key_file")
        if cert_file is None and key_file is None and ca_file is None:
            return None
        if cert_file is None or key_file is None or ca_file is None:
            raise ValueError("goes together with PARLEY_TLS_CERT_FILE and PARLEY_TLS_KEY_FILE")
        TlsFiles(cert_file, key_file, ca_file).read()
        return ca_file

    @property
    def is_development(self) -> bool:
        """Whether conveniences that would be unsafe on the open network are on."""
        return self.env == "development"


class ServerSettings(MeshSettings):
    """What a service that serves gRPC needs to know besides."""

    rpc_concurrency: PositiveInt = 1000
    """Calls served at once; more are refused with OVERLOADED, so that those that are served come in time."""


SettingsT = TypeVar("SettingsT", bound=EnvironmentSettings)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one variable; never its value."""

    variable: str
    text: str


class SettingsError(Exception):
    """The environment does not hold usable settings. Tells all problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        lines = (f"  {problem.variable}: {problem.text}" for problem in problems)
        super().__init__("\n".join(["The settings are not usable:", *lines]))
        self.problems = problems


def read(settings_class: type[SettingsT]) -> SettingsT:
    """Reads the settings from the environment.

    Raises:
        SettingsError: some are missing or wrong.
    """
    try:
        return settings_class()
    except ValidationError as error:
        raise SettingsError(_problems(error)) from None  # the cause would tell values


def load(settings_class: type[SettingsT]) -> SettingsT:
    """Reads the settings from the environment, or ends the process.

    On a problem every variable at fault is named on standard error, without its value, and the process exits
    with 78 (``EX_CONFIG``).
    """
    try:
        return read(settings_class)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EX_CONFIG)


def unknown_variables(settings_class: type[MeshSettings]) -> list[tuple[str, str | None]]:
    """Variables that this service would have to know and does not, each with the one that is meant, perhaps.

    A reason to warn and none to refuse: another release may read them.
    """
    fields = settings_class.model_fields
    areas = {field.partition("_")[0].upper() for field in fields if variable_name(field) not in _SHARED}
    foreign = tuple(ENV_PREFIX + area for area in _OTHER_SERVICES if area.rstrip("_") not in areas)
    strange = sorted(
        name
        for name in map(str.upper, os.environ)
        if name.startswith(ENV_PREFIX) and name not in _SHARED and not name.startswith(foreign)
    )
    known = {field.upper() for field in fields}
    return [
        (name, _alike(short, known))
        for name in strange
        if (short := name.removeprefix(ENV_PREFIX)) not in known
    ]


def _alike(name: str, known: Collection[str]) -> str | None:
    matches = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)
    return ENV_PREFIX + matches[0] if matches else None


def variable_name(field: str) -> str:
    """The environment variable of a settings field."""
    return ENV_PREFIX + field.upper()


def _problems(error: ValidationError) -> list[Problem]:
    problems: list[Problem] = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        field = str(problem["loc"][0]) if problem["loc"] else ""
        # pydantic locates a missing field by its alias, which already is the variable's name in some cases.
        name = field.upper() if field.upper().startswith(ENV_PREFIX) else variable_name(field)
        message = (
            "is not set" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
        )
        problems.append(Problem(name if field else "settings", message))
    return problems
