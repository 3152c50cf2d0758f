"""Why a person was notified of a message, or was not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import takewhile
from typing import Final

from mesh.clock import to_rfc3339
from notify_service.domain.decision import MAY_STAY_UNREAD, Reason
from notify_service.domain.device import Device
from notify_service.domain.ledger import LedgerEntry, Outcome
from notify_service.domain.preferences import Preferences

_NO_TRACE: Final = (
    "There is no trace: the user was not to be notified of this message, or it is not handled yet, or it is"
    " longer ago than the ledger is kept."
)
_REASONS: Final = {
    Reason.NOT_A_MEMBER: "the user was no member of the chat any more",
    Reason.DELETED: "the message was deleted before anybody was notified",
    Reason.COLLAPSED: "it is part of the notification of a later message of the chat",
    Reason.READ: "the user had read it already",
    Reason.SEEN: "it had reached an application of the user already",
    Reason.ACTIVE: "the user was busy in an application, which showed it",
    Reason.DISABLED: "the user has switched notifications off",
    Reason.MUTED: "the user has muted the chat",
    Reason.QUIET_HOURS: "it was in the user's quiet hours",
    Reason.NO_DEVICE: "the user had no device that this deployment can reach",
}
_CLEARED: Final = {
    Reason.NOT_A_MEMBER.value: "the user was no member of the chat any more",
    Reason.READ.value: "the user had read it",
}
_SENTENCES: Final = {reason.value: sentence for reason, sentence in _REASONS.items()}
_NEVER_MAILED: Final = {reason.value for reason in Reason} - {
    reason.value for reason in (*MAY_STAY_UNREAD, Reason.COLLAPSED)
}
_NO_MAIL: Final = {
    "read": "nothing was unread any more",
    "muted": "the user has muted what was unread",
    "not-a-member": "the user was no member any more where something was unread",
    "disabled": "the user wants none",
    "no-device": "the user has no mailbox here any more",
}


class Waiting(Enum):
    """What a message still waits for."""

    NOTHING = auto()
    DECISION = auto()
    """For the delay before it is decided whether to notify."""
    DELIVERY = auto()
    """For an attempt."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one message has left behind for one user."""

    waiting: Waiting
    entries: Sequence[LedgerEntry]
    """Of the ledger, in any order."""
    digest: Sequence[LedgerEntry] = ()
    """The first entries about mails to the user since the message was sent, the oldest first."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer, and what it is drawn from."""

    outcome: Outcome | None
    """None when there is no trace."""
    summary: str
    """One or two sentences in English."""
    entries: tuple[LedgerEntry, ...]
    """The oldest first; behind them those of the next digest, which names no message."""
    devices: tuple[Device, ...]
    preferences: Preferences


def explain(trace: Trace, devices: Sequence[Device], preferences: Preferences) -> Explanation:
    """Draws the answer from what one user's ledger says about one message.

    The user was notified when any device was reached; otherwise what may still come counts, and after that
    what came last. What stays unread is mailed, and the next mail is part of the answer.
    """
    entries = tuple(sorted(trace.entries, key=lambda entry: (entry.at_ms, entry.attempt, entry.id)))
    attempts = [entry for entry in entries if entry.outcome is not Outcome.CLEARED]
    outcome, summary = _answer(attempts, trace.waiting)
    if outcome is Outcome.SENT and (cleared := [entry for entry in entries if entry not in attempts]):
        summary = f"{summary} {_taken_away(cleared[-1])}"
    digest = _next_digest(trace.digest) if attempts and attempts[-1].detail not in _NEVER_MAILED else ()
    if digest:
        summary = f"{summary} {_mailed(digest[-1])}"
    return Explanation(outcome, summary, (*entries, *digest), tuple(devices), preferences)


def _next_digest(entries: Sequence[LedgerEntry]) -> tuple[LedgerEntry, ...]:
    """The entries of the first of several digests, up to the one that settles it."""
    tries = takewhile(lambda entry: entry.outcome is Outcome.DELAYED, entries)
    return tuple(entries[: len(list(tries)) + 1])


def _mailed(last: LedgerEntry) -> str:
    match last.outcome:
        case Outcome.SENT:
            return f"The next mail about what was unread went out at {to_rfc3339(last.at_ms)}."
        case Outcome.SUPPRESSED:
            return f"No mail followed at {to_rfc3339(last.at_ms)}: {_NO_MAIL.get(last.detail, last.detail)}."
        case _:
            return f"The next mail about what was unread: {_detail(last)}."


def _answer(entries: Sequence[LedgerEntry], waiting: Waiting) -> tuple[Outcome | None, str]:
    sent = [entry for entry in entries if entry.outcome is Outcome.SENT]
    if sent:
        return Outcome.SENT, _told(sent, _last_words(entries))
    if waiting is Waiting.DELIVERY:
        delayed = [entry for entry in _last_words(entries) if entry.outcome is Outcome.DELAYED]
        if delayed:
            return Outcome.DELAYED, f"It is on its way and will be tried again: {_detail(delayed[-1])}."
        return Outcome.PENDING, "It is on its way: the first attempt is still to come."
    if waiting is Waiting.DECISION:
        return Outcome.PENDING, "It waits for the short delay after which it is decided whether to notify."
    if not entries:
        return None, _NO_TRACE
    return entries[-1].outcome, _not_told(entries[-1])


def _told(sent: Sequence[LedgerEntry], last: Sequence[LedgerEntry]) -> str:
    reached = list(dict.fromkeys(entry.device_id for entry in sent))
    how = ", ".join(dict.fromkeys(_kind(entry) for entry in sent))
    devices = "one device" if len(reached) == 1 else f"{len(reached)} devices"
    sent_through = f"The user was notified through {devices} ({how}), first at {to_rfc3339(sent[0].at_ms)}"
    failed = [entry for entry in last if entry.device_id not in reached]
    return (
        f"{sent_through}; another was not reached: {_detail(failed[-1])}." if failed else f"{sent_through}."
    )


def _taken_away(entry: LedgerEntry) -> str:
    return f"It was taken away again at {to_rfc3339(entry.at_ms)}: {_CLEARED[entry.detail]}."


def _not_told(entry: LedgerEntry) -> str:
    match entry.outcome:
        case Outcome.SUPPRESSED:
            return f"The user was not notified: {_SENTENCES.get(entry.detail, entry.detail)}."
        case Outcome.PRUNED:
            return f"The user was not notified: the device is no more, and was forgotten: {_detail(entry)}."
        case _:
            return f"The user was not notified: {_detail(entry)}."


def _last_words(entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """The last entry about each device."""
    return list({entry.device_id: entry for entry in entries if entry.device_id}.values())


def _detail(entry: LedgerEntry) -> str:
    said = f" said “{entry.detail}”" if entry.detail else ""
    return f"{_kind(entry)}{said} at {to_rfc3339(entry.at_ms)}, attempt {entry.attempt}"


def _kind(entry: LedgerEntry) -> str:
    return entry.kind.value if entry.kind else "a device"
