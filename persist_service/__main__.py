"""``python -m persist_service``."""

from functools import partial

from mesh.lifecycle import run_service
from mesh.settings import load
from persist_service.app import serve
from persist_service.settings import PersistSettings


def main() -> None:
    """Runs the service until it is told to stop."""
    settings = load(PersistSettings)
    run_service("persist", settings, partial(serve, settings))


if __name__ == "__main__":
    main()
