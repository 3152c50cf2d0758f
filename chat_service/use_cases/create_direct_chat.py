"""Making or finding the direct chat of two users."""

from chat_service.domain import rules
from chat_service.domain.events import ChatAdded
from chat_service.domain.model import Chat
from chat_service.ports.log import ChatLog
from chat_service.ports.sessions import UserChannels
from chat_service.ports.store import Store
from chat_service.use_cases.throttle import CREATE, Throttle
from chat_service.use_cases.views import ChatViews


class CreateDirectChat:
    """There is one per pair, whoever asks first."""

    def __init__(
        self, log: ChatLog, store: Store, channels: UserChannels, views: ChatViews, throttle: Throttle
    ) -> None:
        self._log = log
        self._store = store
        self._channels = channels
        self._views = views
        self._throttle = throttle

    async def __call__(self, user_id: str, peer_id: str) -> tuple[Chat, bool]:
        """The chat as the user sees it, and whether it is new; both users are notified of a new one.

        Raises:
            InvalidArgument: the peer is the user, or no user id.
            ResourceExhausted: RATE_LIMITED.
            Unavailable: Redis or the store is down.
        """
        rules.check_user_id(user_id, "userId")
        rules.check_user_id(peer_id, "userId")
        if peer_id == user_id:
            raise rules.invalid("userId names yourself; a direct chat takes two")
        await self._throttle.check(CREATE, user_id, price=rules.price_of((peer_id,)))
        chat, created = await self._store.create_direct(user_id, peer_id)
        if created:
            roles = {member.user_id: member.role for member in chat.members}
            await self._log.begin(chat.id, roles, chat.member_count)
        view = await self._views.one(user_id, chat)
        # Also while nothing was said in it: a first attempt may have made it and then failed to tell.
        if view.latest is None:
            await self._channels.publish(
                {user_id: ChatAdded(view, user_id), peer_id: ChatAdded(view, user_id)}
            )
        return view, created
