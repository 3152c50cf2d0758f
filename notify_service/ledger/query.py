"""Why a person was notified, or was not."""

from contract import limits
from mesh.ids import is_object_id
from notify_service.domain.ledger import LedgerEntry
from notify_service.domain.limits import invalid, require_user_id
from notify_service.ports import Ledger


class LedgerQuery:
    """Answers operators' questions."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def find(self, user_id: str, message_id: str, limit: int, before_id: str = "") -> list[LedgerEntry]:
        """Entries of the user, the message, or both, the newest first, beginning behind `before_id`.

        An empty id stands for any, a limit of 0 for the default.

        Raises:
            InvalidArgument: neither id is given, or one breaks its limits, or the limit does.
            Unavailable: MongoDB cannot be reached.
        """
        if not user_id and not message_id:
            raise invalid("user_id, message_id: at least one of them is needed")
        if user_id:
            require_user_id(user_id)
        if limit > limits.RECORDS:
            raise invalid(f"limit: at most {limits.RECORDS}")
        for field, value in (("message_id", message_id), ("before_id", before_id)):
            if value and not is_object_id(value):
                raise invalid(f"{field}: must be 24 lower-case hex digits")
        return await self._ledger.find(user_id, message_id, limit or limits.DEFAULT_RECORDS, before_id)
