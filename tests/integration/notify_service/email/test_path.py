"""The whole way of a mail: a message is stored, nobody reads it, a mail arrives, its link ends the mails.

persist_service, notify_service and an edge run in this process; chat_service is not needed for it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from pydantic import SecretStr

from devstack.ports import free_port
from edge.app import serve as serve_edge
from edge.settings import EdgeSettings
from mesh.errors import InvalidArgument
from mesh.ids import new_object_id
from mesh.lifecycle import Lifecycle
from mesh.rpc.channel import open_channel
from notify_service.app import serve
from notify_service.settings import NotifySettings
from parley.notify.v1 import notify_service_pb2 as pb
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub
from parley.persist.v1.persist_service_pb2 import UpsertUserRequest
from tests.integration.notify_service.conftest import serving as serving_notify
from tests.integration.persist_service.conftest import SECRET, Log, Servers, purge, serving
from tests.integration.persist_service.conftest import running as running_persist
from tests.support.authority import Authority
from tests.support.polling import eventually
from tests.support.providers.smtp_server import PASSWORD, USER, MailServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.persist_service.conftest import Service as Persist


@pytest.fixture
async def persist(
    amqp_url: str, mongo_url: str, redis_db: str, mongo_database: str
) -> AsyncIterator[Persist]:
    await purge(amqp_url)
    async with running_persist(Servers(amqp_url, mongo_url, redis_db, mongo_database)) as started:
        await serving(started)
        yield started


@asynccontextmanager
async def notifying(amqp_url: str, mongo_url: str, **settings: object) -> AsyncIterator[NotifyServiceStub]:
    """A notify_service in production mode."""
    fields = {
        "service_secret": SECRET,
        "amqp_url": amqp_url,
        "mongo_url": mongo_url,
        "notify_port": 0,
        "notify_admin_port": 0,
        "notify_delay_seconds": 0.05,
        "notify_repeat_seconds": 0,
        "notify_digest_after_seconds": 0.3,
        **settings,
    }
    life = Lifecycle()
    try:
        ports = await serve(NotifySettings.model_validate(fields), life)
        await serving_notify(ports["admin"])
        channel = await life.enter(
            open_channel(
                f"127.0.0.1:{ports['grpc']}", caller="test", callee="notify", secret=SecretStr(SECRET)
            )
        )
        edge = EdgeSettings.model_validate(
            {
                "service_secret": SECRET,
                "redis_url": settings.get("redis_url", "redis://127.0.0.1:1"),
                "notify_target": f"127.0.0.1:{ports['grpc']}",
                "chat_target": "127.0.0.1:1",
                "edge_port": settings.get("edge_port", 0),
                "edge_admin_port": 0,
                "jwt_secret": SECRET[::-1],
                "jwt_audience": "parley",
            }
        )
        await serve_edge(edge, life)
        yield NotifyServiceStub(channel)
    finally:
        await life.close(15)


async def test_what_nobody_reads_is_mailed_and_the_link_in_the_mail_ends_it(
    persist: Persist, amqp_url: str, mongo_url: str, redis_db: str, tmp_path: Path
) -> None:
    ada, bob = f"ada-{new_object_id()}", f"bob-{new_object_id()}"
    authority, edge_port = Authority(tmp_path), free_port()
    async with (
        MailServer(tls=authority.server_context(), login=True) as server,
        notifying(
            amqp_url,
            mongo_url,
            persist_target=f"127.0.0.1:{persist.port}",
            redis_url=redis_db,
            edge_port=edge_port,
            notify_public_url=f"http://127.0.0.1:{edge_port}",
            notify_smtp_host="127.0.0.1",
            notify_smtp_port=server.port,
            notify_smtp_user=USER,
            notify_smtp_password=PASSWORD,
            notify_smtp_from="Parley <chat@example.com>",
            notify_ca_file=authority.ca_file,
        ) as notify,
    ):
        for user_id, name in ((ada, "Ada\r\nBcc: eve@example.org"), (bob, "Bob")):
            await persist.stub.UpsertUser(UpsertUserRequest(user_id=user_id, name=name))
        chat = await persist.direct(ada, bob)
        await notify.RegisterDevice(
            pb.RegisterDeviceRequest(user_id=bob, kind=pb.DEVICE_KIND_EMAIL, address="bob@bücher.example")
        )
        said = Log(chat.id).messages(3, sender_id=ada)
        await persist.publish(*said)

        (mail,) = await server.mails(1)
        assert (mail.recipient, mail.user, mail.encrypted) == ("bob@xn--bcher-kva.example", USER, True)
        assert mail.letter["Bcc"] is None
        assert mail.letter["Subject"] == "3 unread messages in Ada Bcc: eve@example.org"
        assert "message 3" in mail.text
        question = pb.ExplainNotificationRequest(user_id=bob, message_id=said[-1].message.id)

        async def mailed() -> pb.ExplainNotificationResponse | None:
            answer: pb.ExplainNotificationResponse = await notify.ExplainNotification(question)
            return answer if "The next mail about what was unread went out" in answer.summary else None

        assert (await eventually(mailed)).entries[-1].kind == pb.DEVICE_KIND_EMAIL

        link = mail.letter["List-Unsubscribe"].strip("<>")
        assert link in mail.text
        async with httpx.AsyncClient(trust_env=False) as browser:
            asked = await browser.get(link)
            assert (asked.status_code, "Stop these mails?" in asked.text) == (200, True)
            wishes = await notify.GetPreferences(pb.GetPreferencesRequest(user_id=bob))
            assert wishes.preferences.email_digest
            done = await browser.post(link, data={"List-Unsubscribe": "One-Click"})
            assert (done.status_code, "No more mails" in done.text) == (200, True)
            forged = await browser.post(link[:-1] + ("A" if link[-1] != "A" else "B"))
            assert forged.status_code == 400
        wishes = await notify.GetPreferences(pb.GetPreferencesRequest(user_id=bob))
        assert not wishes.preferences.email_digest
        assert wishes.preferences.enabled


async def test_without_a_mail_server_no_mailbox_can_be_registered(amqp_url: str, mongo_url: str) -> None:
    async with notifying(amqp_url, mongo_url) as notify:
        config = await notify.GetPushConfig(pb.GetPushConfigRequest())
        assert pb.DEVICE_KIND_EMAIL not in config.kinds
        with pytest.raises(InvalidArgument, match="no sender for email"):
            await notify.RegisterDevice(
                pb.RegisterDeviceRequest(user_id="bob", kind=pb.DEVICE_KIND_EMAIL, address="bob@example.org")
            )
