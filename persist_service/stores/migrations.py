"""How documents of older releases become those of this one; applied by `python -m admin migrate`, in order.

A migration gives how many documents it changed. It may be cut off and run again, beside services of the
release before and of this one: it changes only what still has the old form, and leaves nothing that either
cannot read. One that was released stays as it is, in its place.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorDatabase

MIGRATIONS: Final[Sequence[Callable[[AsyncIOMotorDatabase[dict[str, Any]]], Awaitable[int]]]] = ()
"""None yet: every document that was ever stored has the form of today."""
