"""The links between the parts of a mesh, each through a proxy of its own."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Self

from chaos.proxy import Proxy
from devstack.ports import free_port

Route = Callable[[str, str, int], int]
"""(who calls, who is called, its port) -> the port that the caller is told."""


def straight(_caller: str, _callee: str, port: int) -> int:
    """The route without anything in between."""
    return port


class Links:
    """One proxy per pair of parts. Give `via` to `Mesh.start` as its route, then enter it.

    Until it is entered nothing listens: callers find their servers away, which they must bear anyway.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._proxies: dict[str, Proxy] = {}
        self._stack = AsyncExitStack()

    def via(self, caller: str, callee: str, port: int) -> int:
        """A `Route` that puts a proxy between the two."""
        proxy = Proxy(port, port=free_port(), seed=self._seed + len(self._proxies))
        self._proxies[f"{caller}>{callee}"] = proxy
        return proxy.port

    @property
    def by_name(self) -> Mapping[str, Proxy]:
        """All proxies, named `caller>callee`."""
        return self._proxies

    async def __aenter__(self) -> Self:
        for proxy in self._proxies.values():
            await self._stack.enter_async_context(proxy)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
