"""Who is connected: every connection counts from `accept` on, whatever becomes of it."""

from collections.abc import Callable


class FullError(Exception):
    """There is no place for another connection; `of_address` when it is for its address alone."""

    def __init__(self, *, of_address: bool) -> None:
        super().__init__("too many connections from this address" if of_address else "too many connections")
        self.of_address = of_address


class Place:
    """One connection's. Its address may become known later, when a proxy tells for whom it came."""

    __slots__ = ("_address", "_claimed", "_handed_on", "_left", "_places")

    def __init__(self, places: "Places", address: str | None) -> None:
        self._places = places
        self._address = address
        self._claimed = False
        self._handed_on = self._left = False

    def claim(self, address: str) -> None:
        """Counts the connection for `address`, unless it is counted for one already.

        Raises:
            FullError: the address has as many as it may.
        """
        if self._address is None and not self._left:
            self._places.count(address)
            self._address = address
            self._claimed = True

    def hand_on(self) -> None:
        """The connection leaves HTTP: from now on whoever has it calls `let_go` at its end."""
        self._handed_on = True

    @property
    def handed_on(self) -> bool:
        """Whether it left HTTP."""
        return self._handed_on

    def let_go(self) -> None:
        """What the address was claimed for is over; and so is the connection, if it was handed on."""
        if self._handed_on:
            self.leave()
        elif self._claimed and self._address is not None:
            self._places.uncount(self._address)
            self._address = None
            self._claimed = False

    def leave(self) -> None:
        """The connection is gone. May be called more than once."""
        if not self._left:
            self._left = True
            self._places.leave(self._address)
            self._address = None
            self._claimed = False


class Places:
    """Counts connections.

    Args:
        most: how many there may be.
        per_address: how many of them for one address; 0: any number.
    """

    def __init__(self, most: int, per_address: int = 0) -> None:
        self._most = most
        self._per_address = per_address
        self._on_left: Callable[[], None] | None = None
        self._taken = 0
        self._addresses: dict[str, int] = {}

    @property
    def taken(self) -> int:
        """How many there are."""
        return self._taken

    def on_left(self, callback: Callable[[], None]) -> None:
        """Has `callback` called when one has gone."""
        self._on_left = callback

    def enter(self, address: str | None) -> Place:
        """A place for a connection of `address`; None: a proxy's, whose clients are not known yet.

        Raises:
            FullError: there is none.
        """
        if self._taken >= self._most:
            raise FullError(of_address=False)
        if address is not None:
            self.count(address)
        self._taken += 1
        return Place(self, address)

    def count(self, address: str) -> None:
        """One more for an address.

        Raises:
            FullError: it has as many as it may.
        """
        count = self._addresses.get(address, 0)
        if self._per_address and count >= self._per_address:
            raise FullError(of_address=True)
        self._addresses[address] = count + 1

    def uncount(self, address: str) -> None:
        """One fewer for an address."""
        count = self._addresses.get(address, 0)
        if count > 1:
            self._addresses[address] = count - 1
        else:
            self._addresses.pop(address, None)

    def leave(self, address: str | None) -> None:
        """One fewer in all."""
        self._taken -= 1
        if address is not None:
            self.uncount(address)
        if self._on_left is not None:
            self._on_left()
