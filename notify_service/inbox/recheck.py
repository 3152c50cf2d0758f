"""What is left to notify of when the delay is over. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from notify_service.domain.decision import Occasion, Policy, Reason, SendTo, Suppress, decide
from notify_service.domain.device import Device
from notify_service.domain.ledger import MAX_MESSAGES
from notify_service.domain.person import Person
from notify_service.inbox.inbox import Batch, Inbox, WaitingMessage


@dataclass(frozen=True, slots=True)
class Attention:
    """What a member knows of a chat by now."""

    member: bool
    """False: the user may not see the chat any more, and the rest says nothing."""
    read_seq: int = 0
    delivered_seq: int = 0
    """A connection of the member was given everything up to here."""
    unread: int = 0
    last_active_ms: int = 0
    """When a live connection of the user last did something; 0 without one, or where it is not known."""
    partial: bool = False
    """That connection does not receive all chats of the user."""


@dataclass(frozen=True, slots=True)
class ToNotify:
    """The user is notified of these messages, at most 100, through these devices."""

    messages: tuple[WaitingMessage, ...]
    devices: tuple[Device, ...]
    last_deleted: bool
    """The message that the preview is of was deleted meanwhile."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of each message of a batch: it is in exactly one place."""

    suppressed: tuple[tuple[Reason, tuple[WaitingMessage, ...]], ...]
    to_notify: ToNotify | None


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out for a recheck."""

    attention: Attention
    deleted_ids: Collection[str]
    person: Person
    at_ms: int


def judge(inbox: Inbox, batch: Batch, findings: Findings, policy: Policy) -> Verdict:
    """Drops what needs no notification any more, and decides about the rest together."""
    read_seq = max(inbox.read_seq, findings.attention.read_seq)
    fates: dict[Reason, list[WaitingMessage]] = {}
    left: list[WaitingMessage] = []
    for message in batch.messages:
        if not findings.attention.member or message.seq <= inbox.left_seq:
            fates.setdefault(Reason.NOT_A_MEMBER, []).append(message)
        elif message.id in findings.deleted_ids:
            fates.setdefault(Reason.DELETED, []).append(message)
        elif message.seq <= read_seq:
            fates.setdefault(Reason.READ, []).append(message)
        elif message.seq <= inbox.notified_seq:
            fates.setdefault(Reason.COLLAPSED, []).append(message)
        else:
            left.append(message)
    to_notify = None
    if left:
        match _decide(inbox, batch, left, findings, policy):
            case Suppress(reason):
                fates.setdefault(reason, []).extend(left)
            case SendTo(devices):
                if before := left[:-MAX_MESSAGES]:
                    fates.setdefault(Reason.COLLAPSED, []).extend(before)
                last_deleted = left[-1].id != batch.preview.message_id
                to_notify = ToNotify(tuple(left[-MAX_MESSAGES:]), devices, last_deleted)
    return Verdict(tuple((reason, tuple(messages)) for reason, messages in fates.items()), to_notify)


def _decide(
    inbox: Inbox, batch: Batch, left: Sequence[WaitingMessage], findings: Findings, policy: Policy
) -> Suppress | SendTo:
    attention = findings.attention
    if _seen(batch, attention):
        return Suppress(Reason.SEEN)
    if policy.active(attention.last_active_ms, findings.at_ms, partial=attention.partial):
        return Suppress(Reason.ACTIVE)
    occasion = Occasion(
        chat_id=inbox.key.chat_id,
        direct=batch.direct,
        mentioned=any(message.mentions for message in left),
        at_ms=findings.at_ms,
    )
    return decide(occasion, findings.person, policy)


def _seen(batch: Batch, attention: Attention) -> bool:
    """Whether a device got it all while the user was there.

    A device that lies idle gets everything too, so the delivery alone says nothing: the user did something
    there since, or came and went since the messages arrived.
    """
    if attention.delivered_seq < batch.last.seq:
        return False
    return attention.last_active_ms >= batch.preview.at_ms if attention.last_active_ms else batch.offline
