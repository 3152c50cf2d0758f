"""Who is at the keyboard, and how that becomes a connected client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from parley_client.client import ParleyClient, TokenSource
from parley_client.errors import NotFoundError, TokenError
from parley_client.rest import RestClient


@dataclass(frozen=True, slots=True)
class Login:
    """What the command line says about the user."""

    url: str
    user_id: str
    name: str = ""
    token: str | None = None

    def client(self) -> ParleyClient:
        """A client of this user, to be entered."""
        token: str | TokenSource = self.token if self.token is not None else self._dev_token
        return ParleyClient(self.url, token)

    @asynccontextmanager
    async def rest(self) -> AsyncIterator[RestClient]:
        """The REST calls of this user, without a connection for events."""
        async with RestClient(self.url) as rest:
            rest.token = await self._dev_token() if self.token is None else self.token
            yield rest

    async def _dev_token(self) -> str:
        async with RestClient(self.url) as rest:
            try:
                return await rest.dev_token(self.user_id, self.name or self.user_id)
            except NotFoundError:
                message = "this server gives out no tokens (it is not in development mode); use --token"
                raise TokenError("INVALID_TOKEN", message) from None
