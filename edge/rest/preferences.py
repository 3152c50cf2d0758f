"""``/notification-preferences`` and ``/chats/{chatId}/mute``: what the user wants to be told."""

from edge.rest.handler import RestHandler
from edge.rest.notification_bodies import MuteBody, PreferencesAnswer, PreferencesJson
from edge.rest.notification_shapes import preferences_from, preferences_json, until_ms
from edge.rest.parameters import chat_id
from parley.notify.v1 import notify_service_pb2 as pb


class PreferencesHandler(RestHandler):
    """``/notification-preferences``."""

    async def get(self) -> None:
        """The user's preferences."""
        found = await self.deps.notify.GetPreferences(pb.GetPreferencesRequest(user_id=self.user_id))
        self.answer(PreferencesAnswer(preferences=preferences_json(found.preferences)))

    async def put(self) -> None:
        """Replaces all of them."""
        wanted = preferences_from(self.body(PreferencesJson))
        stored = await self.deps.notify.SetPreferences(
            pb.SetPreferencesRequest(user_id=self.user_id, preferences=wanted)
        )
        self.answer(PreferencesAnswer(preferences=preferences_json(stored.preferences)))


class MuteHandler(RestHandler):
    """``/chats/{chatId}/mute``."""

    async def put(self, chat: str) -> None:
        """Keeps the chat quiet for the user."""
        muted = pb.MutedChat(chat_id=chat_id(chat), until_ms=until_ms(self.body(MuteBody).until))
        await self.deps.notify.MuteChat(pb.MuteChatRequest(user_id=self.user_id, chat=muted))
        self.answer_nothing()

    async def delete(self, chat: str) -> None:
        """Lets the chat be heard again."""
        await self.deps.notify.UnmuteChat(pb.UnmuteChatRequest(user_id=self.user_id, chat_id=chat_id(chat)))
        self.answer_nothing()
