"""Tells users of messages: decide, claim, send, record."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mesh.clock import now_ms
from mesh.logs import get_logger
from notify_service.domain.decision import Policy, SendTo, Suppress, decide
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.ledger import MAX_DETAIL, Claim, Outcome, Slot
from notify_service.domain.notification import Notification
from notify_service.domain.preferences import Preferences
from notify_service.domain.wording import word
from notify_service.metrics import NOTIFICATIONS, SEND_SECONDS_TAKEN
from notify_service.ports import (
    DeviceStore,
    Ledger,
    Opening,
    PreferenceStore,
    Result,
    Sender,
    SendRefusedError,
)

SEND_SECONDS: Final = 10.0
AT_ONCE: Final = 64
"""Entries claimed, sent and recorded together: few, so that a crash leaves few sends in doubt."""

_log = get_logger()


@dataclass(frozen=True, slots=True)
class _Planned:
    """One entry of the ledger to be, and for a send what it takes to do it."""

    notification: Notification
    preferences: Preferences
    opening: Opening
    device: Device | None


class NotifyUsers:
    """Handles batches of notifications, at least once each, with at most one duplicate after a crash.

    The broker may deliver a job again at any time, so the ledger decides who sends (see `domain.ledger`).
    What a crash costs depends on when it comes:

    * before the claim: nothing, the job is delivered again and handled as new;
    * between the claim and the record of the outcome: the job is delivered again, waits until the lease is
      over, and is sent once more. If the provider had taken it, that is the one duplicate;
    * after the record, before the broker's ack: nothing, the entry is settled.

    An outage of MongoDB costs nothing: `Unavailable` goes up to the consumer, which holds the job and calls
    again. Claims whose answer was lost are ours by the holder's name, and outcomes that could not be written
    are kept here, where alone they are known, and written first thing in the next call.
    """

    def __init__(
        self,
        devices: DeviceStore,
        preferences: PreferenceStore,
        ledger: Ledger,
        senders: Mapping[DeviceKind, Sender],
        *,
        implicit_log_device: bool,
    ) -> None:
        self._devices = devices
        self._preferences = preferences
        self._ledger = ledger
        self._senders = senders
        self._policy = Policy(senders.keys(), implicit_log_device=implicit_log_device)
        self._holder = _new_holder()
        self._unrecorded: list[Result] = []
        # Two calls at once would take one another's claims for their own.
        self._turn = asyncio.Lock()

    async def __call__(self, notifications: Sequence[Notification]) -> list[Notification]:
        """Tells them all; returns those that another process is sending now, to be asked for again later.

        Raises:
            Unavailable: MongoDB cannot be reached. Call again with the same notifications.
        """
        async with self._turn:
            await self._record()
            plan = await self._decide(notifications)
            held: list[Notification] = []
            for start in range(0, len(plan), AT_ONCE):
                held += await self._carry_out(plan[start : start + AT_ONCE])
        return list(dict.fromkeys(held))  # held for two devices, it comes back once

    async def _decide(self, notifications: Sequence[Notification]) -> list[_Planned]:
        users = {notification.user_id for notification in notifications}
        preferences, devices = await asyncio.gather(
            self._preferences.of_users(users), self._devices.of_users(users)
        )
        plan: dict[Slot, _Planned] = {}
        for notification in notifications:
            wishes = preferences.get(notification.user_id, Preferences())
            match decide(notification, wishes, devices.get(notification.user_id, ()), self._policy):
                case Suppress(reason):
                    planned = [_plan(notification, wishes, None, Outcome.SUPPRESSED, reason.value)]
                case SendTo(targets):
                    planned = [_plan(notification, wishes, device, Outcome.PENDING, "") for device in targets]
            plan.update((each.opening.slot, each) for each in planned)
        return list(plan.values())

    async def _carry_out(self, plan: Sequence[_Planned]) -> list[Notification]:
        claims = await self._ledger.open([planned.opening for planned in plan], self._holder, now_ms())
        answered = list(zip(plan, claims, strict=True))
        granted = [planned for planned, claim in answered if claim is Claim.GRANTED]
        try:
            async with asyncio.TaskGroup() as tasks:
                for planned in granted:
                    tasks.create_task(self._finish(planned))
        except asyncio.CancelledError:
            # Cut off in the middle of sends: should we live on, these claims are to count as another's.
            self._holder = _new_holder()
            raise
        await self._record()
        return [planned.notification for planned, claim in answered if claim is Claim.HELD]

    async def _finish(self, planned: _Planned) -> None:
        opening = planned.opening
        if planned.device is None:
            NOTIFICATIONS.labels(opening.outcome.value, opening.detail).inc()
            return
        holder = self._holder
        outcome, detail = await self._send(planned, planned.device)
        NOTIFICATIONS.labels(outcome.value, "").inc()
        self._unrecorded.append(Result(opening.slot, holder, outcome, detail))

    async def _send(self, planned: _Planned, device: Device) -> tuple[Outcome, str]:
        kind = device.kind.value
        try:
            wording = word(planned.notification, planned.preferences)
            with SEND_SECONDS_TAKEN.labels(kind).time():
                async with asyncio.timeout(SEND_SECONDS):
                    await self._senders[device.kind].send(planned.notification, wording, device)
        except SendRefusedError as refusal:
            return Outcome.FAILED, str(refusal)[:MAX_DETAIL]
        except TimeoutError:
            return Outcome.FAILED, f"no answer in {SEND_SECONDS:g} s"
        except Exception as defect:  # noqa: BLE001 - one bad send must not take its neighbours along
            _log.exception("notify.send_failed", kind=kind, message_id=planned.notification.message_id)
            return Outcome.FAILED, f"defect of the sender: {type(defect).__name__}"
        return Outcome.SENT, ""

    async def _record(self) -> None:
        if self._unrecorded:
            await self._ledger.record(self._unrecorded, now_ms())
            self._unrecorded.clear()


def _plan(
    notification: Notification, wishes: Preferences, device: Device | None, outcome: Outcome, detail: str
) -> _Planned:
    slot = Slot(notification.user_id, notification.message_id, device.id if device else "")
    return _Planned(notification, wishes, Opening(slot, notification.chat_id, outcome, detail), device)


def _new_holder() -> str:
    return secrets.token_hex(8)
