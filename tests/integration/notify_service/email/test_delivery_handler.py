"""From "something stays unread" to a mail in a mailbox, on real servers; who reads what is the test's."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from mesh.amqp.batches import BatchHandler
from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.topology import Topology, dead_queue
from mesh.cancellation import end
from mesh.clock import now_ms
from mesh.errors import Internal, Unavailable, unavailable
from mesh.ids import new_object_id
from notify_service.adapters.mongo.devices import MongoDeviceStore
from notify_service.adapters.mongo.digests import MongoDigestStore
from notify_service.adapters.mongo.ledger import MongoLedger
from notify_service.adapters.mongo.preferences import MongoPreferenceStore
from notify_service.delivery.brake import BrakeLimits
from notify_service.delivery.engine import Deliver
from notify_service.delivery.trust import Trust
from notify_service.domain.delivery import Lane
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.ledger import LedgerEntry, Outcome
from notify_service.domain.notification import ContentType
from notify_service.domain.preferences import MutedChat, Preferences
from notify_service.email.delivery_handler import EmailDeliveryHandler
from notify_service.email.digest import WaitingChat
from notify_service.email.intake import EmailIntake
from notify_service.email.proto_codec import EMAILS
from notify_service.email.queue import BrokerEmailQueue
from notify_service.email.renderer import TemplateEmailRenderer
from notify_service.email.send_digests import DigestTimes, SendDigests
from notify_service.email.unsubscribe import Unsubscribe, UnsubscribeTokens
from notify_service.inbox.recheck import Attention
from notify_service.providers.smtp.mailer import SmtpMailer, SmtpServer
from parley.common.v1.error_pb2 import ErrorReason
from parley.events.v1.jobs_pb2 import Email as EmailProto
from parley.events.v1.jobs_pb2 import EmailBatch
from tests.integration.notify_service.delivery.deliveries import LIMITS, PACE, Clock, store_at
from tests.integration.notify_service.inbox.scripted_members import ScriptedMembers
from tests.support.authority import Authority
from tests.support.providers.smtp_server import HANG_UP, MailServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
    from pathlib import Path

TIMES = DigestTimes(after_ms=60_000, every_ms=86_400_000)
_CHATS = ("harbour", "moorings", "lighthouse", "regatta")
TOKENS = UnsubscribeTokens("a secret of the tests, 32 bytes and more")


class Chats:
    """In the place of persist_service: what it knows is what the test says."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[WaitingChat]] = {}
        self.since: dict[str, int] = {}
        self.outages = 0
        self.refused = ""

    async def of_user(self, user_id: str) -> Sequence[WaitingChat]:
        if user_id == self.refused:
            raise Internal(ErrorReason.ERROR_REASON_INTERNAL, "a defect")
        if self.outages:
            self.outages -= 1
            raise unavailable("persist")
        return self.waiting.get(user_id, [])

    async def unread_since(self, chat: WaitingChat) -> int:
        return self.since[chat.chat_id]

    async def names(self, user_ids: Collection[str]) -> Mapping[str, str]:
        return {user_id: user_id.title() for user_id in user_ids}


@dataclass(frozen=True)
class Post:
    """Everything that mails need, and the mailboxes they end in."""

    chats: Chats
    members: ScriptedMembers
    digests: MongoDigestStore
    devices: MongoDeviceStore
    preferences: MongoPreferenceStore
    ledger: MongoLedger
    broker: Broker
    queue: str
    server: MailServer
    look: SendDigests
    clock: Clock
    """Of the engine that makes the attempts."""

    async def subscribe(self, user_id: str) -> Device:
        """Gives a user a mailbox."""
        address = f"{user_id}@example.org"
        return await self.devices.register(user_id, DeviceKind.EMAIL, address, "", now_ms(), keep=50)

    async def arm(self, *user_ids: str, ago_ms: int = TIMES.after_ms) -> None:
        """As if they had been notified something a while ago."""
        await self.digests.arm(user_ids, now_ms() - ago_ms)

    async def entries(self, user_id: str, count: int) -> list[LedgerEntry]:
        """The ledger of a user, once it has so many entries."""
        async with asyncio.timeout(30):
            while len(found := await self.ledger.find(user_id, "", 100)) < count:
                await asyncio.sleep(0.02)
        return found


@asynccontextmanager
async def supervised(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end(task)


@pytest.fixture
async def post(mongo_url: str, amqp_url: str, tmp_path: Path) -> AsyncIterator[Post]:
    authority = Authority(tmp_path)
    queue = f"email-{new_object_id()}"
    async with AsyncExitStack() as stack:
        store, mongo = await stack.enter_async_context(store_at(mongo_url))
        server = await stack.enter_async_context(MailServer(tls=authority.server_context()))
        mailer = await stack.enter_async_context(
            SmtpMailer.open(SmtpServer(host="127.0.0.1", port=server.port, ca_file=authority.ca_file))
        )
        topology = Topology(queues=(queue,))
        broker = await stack.enter_async_context(Broker(SecretStr(amqp_url), name="mail", topology=topology))
        devices, preferences = MongoDeviceStore(mongo), MongoPreferenceStore(mongo)
        ledger, chats, members = MongoLedger(mongo), Chats(), ScriptedMembers()
        handler = EmailDeliveryHandler(
            devices=devices,
            preferences=preferences,
            members=members,
            renderer=TemplateEmailRenderer("Parley <chat@example.com>", "https://chat.example.com", TOKENS),
            mailer=mailer,
            ledger=ledger,
            trust=Trust(BrakeLimits()),
        )
        clock = Clock()
        deliver = Deliver(store, {Lane.EMAIL: handler}, LIMITS, PACE, clock)
        intake = EmailIntake(deliver, expire_seconds=3600)
        consumer = Consumer(broker, queue, BatchHandler(queue, EMAILS, intake, broker.publish_many))
        digests = MongoDigestStore(mongo, after_seconds=TIMES.after_ms / 1000)
        look = SendDigests(
            digests=digests,
            unread=chats,
            preferences=preferences,
            devices=devices,
            queue=BrokerEmailQueue(broker, queue),
            ledger=ledger,
            times=TIMES,
            poll_seconds=0.05,
        )
        await stack.enter_async_context(supervised(deliver.run()))
        await stack.enter_async_context(supervised(consumer.run()))
        await broker.session()
        yield Post(chats, members, digests, devices, preferences, ledger, broker, queue, server, look, clock)


def waiting(text: str = "hello", *, ago_ms: int = 120_000, unread: int = 1) -> WaitingChat:
    return WaitingChat(
        chat_id=new_object_id(),
        group_name="",
        peer_id="ada",
        unread=unread,
        first_unread_number=1,
        sender_id="ada",
        content_type=ContentType.TEXT,
        text=text,
        at_ms=now_ms() - ago_ms,
    )


async def test_what_stays_unread_is_mailed_once(post: Post) -> None:
    device = await post.subscribe("bob")
    post.chats.waiting["bob"] = [waiting("hello")]
    await post.arm("bob")
    assert await post.look.look() == 1
    (mail,) = await post.server.mails(1)
    assert (mail.recipient, mail.letter["Subject"]) == ("bob@example.org", "1 unread message in Ada")
    assert "hello" in mail.text
    (entry,) = await post.entries("bob", 1)
    assert (entry.outcome, entry.kind, entry.device_id) == (Outcome.SENT, DeviceKind.EMAIL, device.id)
    assert await post.look.look() == 0


async def test_nobody_is_looked_at_before_the_time(post: Post) -> None:
    await post.subscribe("bob")
    await post.arm("bob", ago_ms=TIMES.after_ms - 30_000)
    await post.arm("bob", ago_ms=0)
    assert await post.look.look() == 0
    await post.arm("bob")
    assert await post.look.look() == 1, "the earliest time counts"


async def test_who_has_read_everything_gets_no_mail_and_the_ledger_says_so(post: Post) -> None:
    await post.subscribe("bob")
    await post.arm("bob")
    await post.look.look()
    (entry,) = await post.entries("bob", 1)
    assert (entry.outcome, entry.detail) == (Outcome.SUPPRESSED, "read")
    assert await post.look.look() == 0
    assert post.server.taken == 0


@pytest.mark.parametrize("wishes", [Preferences(email_digest=False), Preferences(enabled=False)])
async def test_who_wants_no_mails_gets_none(post: Post, wishes: Preferences) -> None:
    await post.subscribe("bob")
    await post.preferences.replace("bob", wishes)
    post.chats.waiting["bob"] = [waiting()]
    await post.arm("bob")
    await post.look.look()
    (entry,) = await post.entries("bob", 1)
    assert (entry.outcome, entry.detail) == (Outcome.SUPPRESSED, "disabled")
    assert post.server.taken == 0


async def test_a_user_is_mailed_at_most_once_in_the_time_between(post: Post) -> None:
    await post.subscribe("bob")
    post.chats.waiting["bob"] = [waiting("first")]
    await post.arm("bob")
    await post.look.look()
    await post.server.mails(1)
    post.chats.waiting["bob"] = [waiting("second", ago_ms=0)]
    await post.arm("bob")
    assert await post.look.look() == 1
    assert await post.look.look() == 0, "it comes up again a day later"
    assert post.server.taken == 1


async def test_a_message_that_came_a_moment_ago_waits_its_own_time(post: Post) -> None:
    await post.subscribe("bob")
    young = waiting("young", ago_ms=1_000, unread=2)
    post.chats.waiting["bob"] = [young]
    post.chats.since[young.chat_id] = young.at_ms - 1_000
    await post.arm("bob")
    assert await post.look.look() == 1
    assert await post.look.look() == 0
    assert post.server.taken == 0

    post.chats.since[young.chat_id] = young.at_ms - 120_000
    await post.arm("bob")
    await post.look.look()
    (mail,) = await post.server.mails(1)
    assert "young" in mail.text, "an older one of the same chat has waited long enough"


async def test_who_is_armed_while_being_looked_at_stays_armed(post: Post) -> None:
    await post.arm("bob")
    (held,) = await post.digests.claim(10, now_ms())
    await post.arm("bob")
    await post.digests.settle([held], now_ms(), mailed=())
    (again,) = await post.digests.claim(10, now_ms())
    assert again.user_id == "bob"
    assert again.claim != held.claim


async def test_what_a_crash_left_behind_comes_up_again_as_the_same_mail(post: Post) -> None:
    await post.arm("bob")
    (held,) = await post.digests.claim(10, now_ms())
    assert await post.digests.claim(10, now_ms() + 59_000) == ()
    (again,) = await post.digests.claim(10, now_ms() + 61_000)
    assert replace(again, claim=held.claim) == held
    await post.digests.settle([held], now_ms(), mailed=["bob"])
    (still,) = await post.digests.claim(10, now_ms() + 200_000)
    assert still.last_mailed_ms == 0, "one whose claim ran out settles nothing"


async def test_many_are_armed_at_once_and_each_is_claimed_once(post: Post) -> None:
    users = [f"user-{number}" for number in range(100)]
    await asyncio.gather(*(post.arm(*users) for _ in range(4)))
    claims = await asyncio.gather(*(post.digests.claim(50, now_ms()) for _ in range(4)))
    more = await post.digests.claim(100, now_ms())
    held = [one.user_id for claim in (*claims, more) for one in claim]
    assert sorted(held) == sorted(users)


async def test_while_persist_is_down_nobody_is_mailed_blindly_and_nobody_forgotten(post: Post) -> None:
    await post.subscribe("bob")
    post.chats.waiting["bob"] = [waiting()]
    post.chats.outages = 1
    await post.arm("bob")
    async with supervised(post.look.run()):
        await post.server.mails(1)
    assert post.chats.outages == 0
    assert [entry.outcome for entry in await post.entries("bob", 1)] == [Outcome.SENT]


async def test_a_user_who_cannot_be_looked_at_holds_up_nobody(post: Post) -> None:
    for user_id in ("bob", "eve"):
        await post.subscribe(user_id)
        post.chats.waiting[user_id] = [waiting()]
    post.chats.refused = "bob"
    await post.arm("bob", "eve")
    assert await post.look.look() == 2
    (mail,) = await post.server.mails(1)
    assert mail.recipient == "eve@example.org"
    assert await post.look.look() == 0
    (again,) = await post.digests.claim(10, now_ms() + TIMES.after_ms)
    assert again.user_id == "bob"


async def test_a_look_that_breaks_off_after_the_mail_was_made_makes_no_second_mail(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_off(*_: object, **__: object) -> None:
        raise unavailable("mongodb")

    await post.subscribe("bob")
    post.chats.waiting["bob"] = [waiting()]
    await post.arm("bob")
    with monkeypatch.context() as patch:
        patch.setattr(post.digests, "settle", break_off)
        with pytest.raises(Unavailable):
            await post.look.look()
    assert await post.look.look() == 1

    await post.subscribe("eve")  # the queue is in order: what came before her mail is handled when it is
    post.chats.waiting["eve"] = [waiting()]
    await post.arm("eve")
    await post.look.look()
    await post.entries("eve", 1)
    assert [entry.outcome for entry in await post.entries("bob", 1)] == [Outcome.SENT]
    mails = await post.server.mails(2)
    assert sorted(mail.recipient for mail in mails) == ["bob@example.org", "eve@example.org"]


async def test_a_mailbox_that_does_not_exist_is_forgotten(post: Post) -> None:
    await post.subscribe("bob")
    post.server.script("RCPT", "550 5.1.1 no such user")
    post.chats.waiting["bob"] = [waiting()]
    await post.arm("bob")
    await post.look.look()
    (entry,) = await post.entries("bob", 1)
    assert (entry.outcome, entry.detail) == (Outcome.PRUNED, "550 5.1.1 no such user")
    assert await post.devices.list("bob") == []


async def test_a_mail_server_that_relays_wrongly_makes_few_mailboxes_forgotten(post: Post) -> None:
    users = [f"user-{number}" for number in range(14)]
    for user_id in users:
        await post.subscribe(user_id)
        post.server.script("RCPT", "550 5.1.1 no such user")
        post.chats.waiting[user_id] = [waiting()]
    await post.arm(*users)
    await post.look.look()
    for user_id in users:
        await post.entries(user_id, 1)
    left = await post.devices.of_users(users)
    assert len(left) == len(users) - BrakeLimits().least + 1


async def test_a_mail_server_that_is_away_for_a_while_loses_no_mail(post: Post) -> None:
    await post.subscribe("bob")
    post.server.script("MAIL", HANG_UP)
    post.chats.waiting["bob"] = [waiting()]
    await post.arm("bob")
    await post.look.look()
    await post.entries("bob", 1)
    post.clock.advance(2)
    await post.server.mails(1)
    entries = await post.entries("bob", 2)
    assert [(entry.outcome, entry.attempt) for entry in entries] == [(Outcome.SENT, 2), (Outcome.DELAYED, 1)]


async def test_who_unsubscribes_before_the_mail_is_sent_does_not_get_it(post: Post) -> None:
    await post.subscribe("bob")
    post.chats.waiting["bob"] = [waiting()]
    post.server.script("RCPT", "450 4.2.0 greylisted")
    await post.arm("bob")
    await post.look.look()
    await post.entries("bob", 1)
    await Unsubscribe(TOKENS, post.preferences)(TOKENS.token("bob"))
    post.clock.advance(2)
    entry, _ = await post.entries("bob", 2)
    assert (entry.outcome, entry.detail) == (Outcome.SUPPRESSED, "disabled")
    assert post.server.taken == 0
    wishes = (await post.preferences.of_users(["bob"]))["bob"]
    assert wishes == Preferences(email_digest=False), "nothing else has changed"


async def test_a_mail_that_waited_says_what_its_reader_may_still_know(post: Post) -> None:
    await post.subscribe("bob")
    read, left, muted, stays = (replace(waiting(text), group_name=text.title()) for text in _CHATS)
    post.chats.waiting["bob"] = [read, left, muted, stays]
    post.server.script("RCPT", "450 4.2.0 greylisted")
    await post.arm("bob")
    await post.look.look()
    await post.entries("bob", 1)
    post.members.knows["bob", read.chat_id] = Attention(member=True)
    post.members.knows["bob", left.chat_id] = Attention(member=False)
    post.members.knows["bob", stays.chat_id] = Attention(member=True, unread=2)
    wishes = Preferences(show_preview=False, muted_chats=(MutedChat(muted.chat_id),))
    await post.preferences.replace("bob", wishes)
    post.clock.advance(2)
    (mail,) = await post.server.mails(1)
    assert mail.letter["Subject"] == "2 unread messages in Regatta"
    for text in _CHATS:
        assert text not in mail.text, f"{text!r} is not to be notified any more"
        assert (text.title() in mail.text) is (text == "regatta")


@pytest.mark.parametrize(
    ("attention", "reason"),
    [(Attention(member=False), "not-a-member"), (Attention(member=True, read_seq=1), "read")],
)
async def test_a_mail_of_which_nothing_is_left_is_not_sent(
    post: Post, attention: Attention, reason: str
) -> None:
    await post.subscribe("bob")
    post.chats.waiting["bob"] = [waiting()]
    post.members.usual = attention
    await post.arm("bob")
    await post.look.look()
    (entry,) = await post.entries("bob", 1)
    assert (entry.outcome, entry.detail) == (Outcome.SUPPRESSED, reason)
    assert post.server.taken == 0


async def test_a_mail_that_cannot_be_asked_about_waits(post: Post) -> None:
    await post.subscribe("bob")
    post.chats.waiting["bob"] = [waiting()]
    post.members.down = True
    await post.arm("bob")
    await post.look.look()
    async with asyncio.timeout(30):
        while len(post.members.questions) < 3:
            await asyncio.sleep(0.02)
    assert post.server.taken == 0
    post.members.down = False
    await post.server.mails(1)
    (entry,) = await post.entries("bob", 1)
    assert (entry.outcome, entry.attempt) == (Outcome.SENT, 1)


async def test_a_removed_device_gets_no_mail(post: Post) -> None:
    device = await post.subscribe("bob")
    post.chats.waiting["bob"] = [waiting()]
    post.server.script("RCPT", "450 4.2.0 greylisted")
    await post.arm("bob")
    await post.look.look()
    await post.entries("bob", 1)
    await post.devices.remove("bob", device.id)
    post.clock.advance(2)
    entry, _ = await post.entries("bob", 2)
    assert (entry.outcome, entry.detail) == (Outcome.FAILED, "the device was removed")


async def test_a_malformed_mail_is_dead_lettered_alone(post: Post) -> None:
    device = await post.subscribe("bob")
    good = EmailProto(id=new_object_id(), user_id="bob", device_id=device.id, created_at_ms=now_ms())
    good.digest.chats.add(chat_id=new_object_id(), title="Ada", unread=1, at_ms=now_ms())
    broken = EmailProto(id="nonsense", user_id="bob", device_id=device.id, created_at_ms=now_ms())
    await post.broker.publish(post.queue, EmailBatch(emails=[broken, good]).SerializeToString())
    await post.broker.publish(post.queue, b"\xff\xff not a batch")
    await post.server.mails(1)
    session = await post.broker.session()
    channel = await session.connection.channel()
    dead = await channel.get_queue(dead_queue(post.queue), ensure=False)
    reasons: set[str] = set()
    async with asyncio.timeout(30):
        while len(reasons) < 2:
            if letter := await dead.get(fail=False, no_ack=True):
                reasons.add(str(letter.headers["x-parley-reason"]).split(":")[0])
    assert reasons == {"id", "malformed"}
    await channel.close()
