"""What asking persist_service has in common, whatever is asked."""

from collections.abc import Iterator
from contextlib import contextmanager

from mesh.errors import ResourceExhausted, unavailable


@contextmanager
def answering() -> Iterator[None]:
    """Turns its word that it has too many calls at once into `Unavailable`: that passes, and is waited for.

    Taken for a defect of what was asked, each part of it would be asked for alone, by the hundred.
    """
    try:
        yield
    except ResourceExhausted as error:
        raise unavailable("persist", error.message) from error
