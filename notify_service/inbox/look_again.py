"""What becomes of a push that was decided and could not go out at once. Pure."""

from dataclasses import replace

from notify_service.domain.decision import Occasion, Policy, Reason, Suppress, decide
from notify_service.domain.push import Push, PushKind, WaitingPush
from notify_service.domain.wording import withheld
from notify_service.inbox.recheck import Findings


def look_again(
    waiting: WaitingPush, outdated: Reason | None, findings: Findings, policy: Policy
) -> Push | Reason:
    """What may go out by now: the push, or less of it, or nothing for a reason.

    What takes a notification away may always: it shows nothing.

    Args:
        waiting: what was decided.
        outdated: why the user's devices should not show it any more, if so (`Inbox.why_outdated`).
        findings: what is known by now.
        policy: the deployment's.
    """
    if waiting.push.kind is PushKind.CLEAR:
        return outdated or waiting.push
    reason = _why_not(waiting, outdated, findings) or _unwished(waiting.push, findings, policy)
    return reason or _presentable(waiting.push, findings)


def _why_not(waiting: WaitingPush, outdated: Reason | None, findings: Findings) -> Reason | None:
    if not findings.attention.member:
        return Reason.NOT_A_MEMBER
    if waiting.message_ids and all(message in findings.deleted_ids for message in waiting.message_ids):
        return Reason.DELETED
    return outdated or (Reason.READ if 0 < waiting.push.seq <= findings.attention.read_seq else None)


def _unwished(push: Push, findings: Findings, policy: Policy) -> Reason | None:
    occasion = Occasion(
        chat_id=push.chat_id, direct=push.direct, mentioned=push.mentioned, at_ms=findings.at_ms
    )
    decision = decide(occasion, findings.person, policy)
    return decision.reason if isinstance(decision, Suppress) else None


def _presentable(push: Push, findings: Findings) -> Push:
    """Without what must not be shown any more; what was withheld once stays so."""
    if push.message_id in findings.deleted_ids:
        return replace(push, title=push.chat_title, body=withheld(push.count), sender_id="")
    if not findings.person.preferences.show_preview:
        return replace(push, body=withheld(push.count))
    return push
