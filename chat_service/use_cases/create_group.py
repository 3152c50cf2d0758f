"""Making a group."""

from dataclasses import replace

from chat_service.domain import rules
from chat_service.domain.events import ChatAdded
from chat_service.domain.model import Chat, Group, Role
from chat_service.ports.log import ChatLog
from chat_service.ports.sessions import UserChannels
from chat_service.ports.store import Store
from chat_service.use_cases.throttle import CREATE, MEMBERS, Throttle
from chat_service.use_cases.views import ChatViews
from mesh.ids import new_object_id


class CreateGroup:
    """The user becomes the first admin; all members are notified."""

    def __init__(
        self, log: ChatLog, store: Store, channels: UserChannels, views: ChatViews, throttle: Throttle
    ) -> None:
        self._log = log
        self._store = store
        self._channels = channels
        self._views = views
        self._throttle = throttle

    async def __call__(self, user_id: str, group: Group, *, strangers_limited: bool) -> Chat:
        """The group as its maker sees it. ``strangers_limited``: the others are protected from the maker.

        Raises:
            InvalidArgument: a field breaks its rule.
            FailedPrecondition: TOO_MANY_GROUPS.
            ResourceExhausted: RATE_LIMITED.
            Unavailable: Redis or the store is down; the group may exist.
        """
        rules.check_user_id(user_id, "userId")
        rules.check_group(group)
        others = tuple(item for item in dict.fromkeys(group.member_ids) if item != user_id)
        await self._throttle.check(CREATE, user_id)
        await self._throttle.check(MEMBERS, user_id, price=rules.price_of((user_id, *others)))
        wanted = replace(group, name=group.name.strip(), member_ids=others)
        chat = await self._store.create_group(
            new_object_id(), user_id, wanted, strangers_limited=strangers_limited
        )
        # All of them, where the chat names the first few alone.
        roles = {user_id: Role.ADMIN, **dict.fromkeys(others, Role.MEMBER)}
        await self._log.begin(chat.id, roles, chat.member_count)
        view = await self._views.one(user_id, chat)
        news = ChatAdded(replace(view, role=Role.MEMBER), user_id)
        await self._channels.publish({**dict.fromkeys(others, news), user_id: ChatAdded(view, user_id)})
        return view
