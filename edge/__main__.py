"""`python -m edge`."""

from functools import partial

from edge.app import serve
from edge.settings import EdgeSettings
from mesh.lifecycle import run_service
from mesh.settings import load


def main() -> None:
    """Runs the edge until it is told to stop."""
    settings = load(EdgeSettings)
    run_service("edge", settings, partial(serve, settings))


if __name__ == "__main__":
    main()
