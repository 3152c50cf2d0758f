"""``python -m chat_service``."""

from functools import partial

from chat_service.app import serve
from chat_service.settings import ChatSettings
from mesh.lifecycle import run_service
from mesh.settings import load


def main() -> None:
    """Runs the service until it is told to stop."""
    settings = load(ChatSettings)
    run_service("chat", settings, partial(serve, settings))


if __name__ == "__main__":
    main()
