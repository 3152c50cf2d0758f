"""``/notification-preferences`` and ``/chats/{chatId}/mute``: what the user wants to be told."""

from http import HTTPStatus

from edge.rest.handler import RestHandler
from edge.rest.notification_bodies import MuteBody, PreferencesAnswer, PreferencesJson
from edge.rest.notification_shapes import preferences_from, preferences_json, until_ms
from edge.rest.operation import Operation
from edge.rest.parameters import CHAT
from parley.notify.v1 import notify_service_pb2 as pb


class PreferencesHandler(RestHandler):
    """What the user wants to be told."""

    path = "/api/v1/notification-preferences"
    operations = (
        Operation(
            method="GET",
            name="getNotificationPreferences",
            summary="What the user wants to be told",
            answers={HTTPStatus.OK: PreferencesAnswer},
        ),
        Operation(
            method="PUT",
            name="setNotificationPreferences",
            summary="Replace all of what the user wants to be told",
            body=PreferencesJson,
            answers={HTTPStatus.OK: PreferencesAnswer},
        ),
    )

    async def get(self) -> None:
        """Shows the preferences."""
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
    """Whether a chat is kept quiet."""

    path = "/api/v1/chats/{chatId}/mute"
    operations = (
        Operation(
            method="PUT",
            name="muteChat",
            summary="Keep a chat quiet, for good or until a time; up to 1,000 chats",
            parameters=(CHAT,),
            body=MuteBody,
            answers={HTTPStatus.NO_CONTENT: None},
        ),
        Operation(
            method="DELETE",
            name="unmuteChat",
            summary="Let a chat be heard again; one that is not muted is left as is",
            parameters=(CHAT,),
            answers={HTTPStatus.NO_CONTENT: None},
        ),
    )

    async def put(self) -> None:
        """Keeps the chat quiet for the user."""
        muted = pb.MutedChat(chat_id=self.value(CHAT), until_ms=until_ms(self.body(MuteBody).until))
        await self.deps.notify.MuteChat(pb.MuteChatRequest(user_id=self.user_id, chat=muted))
        self.answer_nothing()

    async def delete(self) -> None:
        """Lets the chat be heard again."""
        await self.deps.notify.UnmuteChat(
            pb.UnmuteChatRequest(user_id=self.user_id, chat_id=self.value(CHAT))
        )
        self.answer_nothing()
