"""How long calls take, by method and code."""

from collections.abc import Callable

from prometheus_client import Histogram


def observer(histogram: Histogram, method: str) -> Callable[[str, float], None]:
    """Takes the code and the seconds of each call of a method.

    ``labels()`` looks its child up under a lock each time; the few codes of a method are kept here.
    """
    children: dict[str, Callable[[float], None]] = {}

    def observe(code: str, seconds: float) -> None:
        child = children.get(code)
        if child is None:
            child = children[code] = histogram.labels(method, code).observe
        child(seconds)

    return observe
