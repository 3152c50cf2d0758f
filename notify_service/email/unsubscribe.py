"""Ends the mails of whoever follows an unsubscribe link."""

from mesh.logs import get_logger
from notify_service.email.unsubscribe_tokens import UnsubscribeTokens
from notify_service.ports import PreferenceStore

_log = get_logger()


class Unsubscribe:
    """Needs no login: the token from the mail is the proof."""

    def __init__(self, tokens: UnsubscribeTokens, preferences: PreferenceStore) -> None:
        self._tokens = tokens
        self._preferences = preferences

    async def __call__(self, token: str) -> None:
        """Switches the digest of the token's user off. Idempotent.

        Raises:
            InvalidArgument: the token was not made here.
            Unavailable: MongoDB cannot be reached.
        """
        user_id = self._tokens.user_id(token)
        await self._preferences.end_emails(user_id)
        _log.info("email.unsubscribed", user_id=user_id)
