"""`python -m notify_service`."""

from functools import partial

from mesh.lifecycle import run_service
from mesh.settings import load
from notify_service.app import serve
from notify_service.settings import NotifySettings


def main() -> None:
    """Runs the service until a signal stops it."""
    settings = load(NotifySettings)
    run_service("notify", settings, partial(serve, settings))


if __name__ == "__main__":
    main()
