"""The rules of docs/architecture.md about who may import what, where no linter holds them."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("edge", "chat_service", "persist_service", "notify_service")


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


@functools.cache
def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def users_of(*packages: str) -> set[str]:
    """The files of the services, of contract and of mesh that import one of these."""
    prefixes = tuple(f"{package}." for package in packages)
    return {
        str(path.relative_to(ROOT))
        for path in modules("contract", "mesh", *SERVICES)
        if any(f"{name}.".startswith(prefixes) for name in imported(path))
    }


def test_services_and_layers_keep_to_their_contracts() -> None:
    # A process of its own: in ours it would silence every logger that there is.
    lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("packages", "homes"),
    [
        (
            ("motor", "pymongo", "bson"),
            (
                "persist_service/stores/",
                "notify_service/adapters/mongo/",
                "mesh/mongo",
                "mesh/client_urls.py",
            ),
        ),
        (("aio_pika", "aiormq"), ("mesh/amqp/", "mesh/dead_letters/")),
        (
            ("redis",),
            (
                "mesh/client_urls.py",
                "mesh/redis.py",
                "mesh/redis_packing.py",
                "mesh/redis_cluster/",
                "chat_service/adapters/redis/",
                "persist_service/stores/",
                "edge/pubsub/subscriber.py",
                "edge/pubsub/cluster_subscriber.py",
                "edge/pubsub/shard.py",
                "edge/pubsub/probe.py",
            ),
        ),
        (
            ("jwt",),
            (
                "mesh/rpc/auth.py",
                "edge/identity/",
                "notify_service/providers/web_push/vapid_key.py",
                "notify_service/providers/apns/provider_token.py",
            ),
        ),
        (("google.auth", "google.oauth2"), ("notify_service/providers/credentials.py",)),
        (("httpcore", "httpx", "h2"), ("notify_service/providers/", "edge/identity/")),
        (("tornado",), ("mesh/admin.py", "mesh/listening.py", "mesh/http/", "edge/")),
        (("regex",), ("contract/text.py",)),
    ],
)
def test_a_driver_is_known_to_its_adapters_and_to_app_only(
    packages: tuple[str, ...], homes: tuple[str, ...]
) -> None:
    strangers = {
        path for path in users_of(*packages) if not path.startswith(homes) and not path.endswith("/app.py")
    }
    assert strangers == set()
    assert users_of(*packages), "nobody imports it: the rule is about nothing"


def test_text_rules_do_not_depend_on_the_unicode_of_this_python() -> None:
    # Search terms are normalised where they are stored, and nothing compares them elsewhere.
    assert users_of("unicodedata") == {"persist_service/domain/terms.py"}


def test_domain_code_does_no_io() -> None:
    forbidden = (
        "asyncio",
        "socket",
        "redis",
        "grpc",
        "motor",
        "pymongo",
        "aio_pika",
        "tornado",
        "prometheus_client",
    )
    # The stages of notify_service hold both: there a module says of itself that it is pure.
    pure = [path for path in modules("notify_service") if _calls_itself_pure(path)]
    for path in (*modules("contract", *(f"{service}/domain" for service in SERVICES)), *pure):
        names = {name.partition(".")[0] for name in imported(path)}
        assert names.isdisjoint(forbidden), path


def _calls_itself_pure(path: Path) -> bool:
    described = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.search(r"\bPure[.:]", described.partition("\n\n")[0]) is not None


def test_only_the_settings_module_reads_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in modules("contract", "mesh", *SERVICES)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
    }
    # mesh/__init__.py reads nothing: it quiets gRPC's C core, which is told through the environment alone.
    assert readers == {"mesh/settings.py", "mesh/__init__.py"}


def test_only_the_composition_root_builds_adapters() -> None:
    builders = {
        f"{path.relative_to(ROOT)}: {name}"
        for service in SERVICES
        for path in modules(service)
        for name in imported(path)
        if ".adapters." in name and path.name != "app.py" and "adapters" not in path.relative_to(ROOT).parts
    }
    assert builders == set()


def test_admin_knows_no_more_of_the_services_than_is_published_to_it() -> None:
    surface = {
        "chat_service.adapters.redis.keys",
        "notify_service.adapters.mongo.database",
        "notify_service.adapters.mongo.indexes",
        "notify_service.adapters.mongo.migrations",
        "persist_service.stores.indexes",
        "persist_service.stores.migrations",
        "persist_service.domain.log",
        *(f"{service}.settings" for service in SERVICES),
    }
    known = {
        name for path in modules("admin") for name in imported(path) if name.partition(".")[0] in SERVICES
    }
    assert {name for name in known if name not in surface and name.rpartition(".")[0] not in surface} == set()


def test_the_development_servers_are_no_part_of_what_runs_in_production() -> None:
    assert users_of("devstack", "chaos", "secantus", "tests", "pytest", "admin") == set()
