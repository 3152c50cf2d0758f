"""Read pointers move forward only, and an acked one is durable."""

from collections.abc import Iterator

from chaos.evidence import Evidence, Violation
from chaos.records import FaultEnded, MembershipDone, Read, Saw


def receipts_are_monotonic(evidence: Evidence) -> Iterator[Violation]:
    """On one connection the receipts of a reader in a chat never go back.

    Exempt is the first one after a lost Redis: pointers then begin again where the store had them.
    """
    last: dict[tuple[str, int, str, str], int] = {}
    for record in evidence.records:
        if isinstance(record, FaultEnded) and evidence.redis_was_lost:
            last.clear()
        if not isinstance(record, Saw) or not record.reader_id:
            continue
        of = (record.client, record.connection, record.chat_id, record.reader_id)
        if record.seq < last.get(of, 0):
            yield Violation(
                "pointer went back",
                f"{record.client} saw {record.reader_id} go from {last[of]} to {record.seq}"
                f" in {record.chat_id}",
            )
        last[of] = record.seq


def acked_reads_are_stored(evidence: Evidence) -> Iterator[Violation]:
    """The stored pointer of a member stands where an ack said, or further. A new membership begins anew."""
    acked: dict[tuple[str, str], int] = {}
    for record in evidence.records:
        match record:
            case Read():
                place = (record.chat_id, record.user_id)
                acked[place] = max(record.seq, acked.get(place, 0))
            case MembershipDone(adds=False):
                acked.pop((record.chat_id, record.member_id), None)
    for (chat, user), seq in acked.items():
        stored = evidence.stores.members.get(chat, {}).get(user)
        if stored is not None and stored < seq:
            yield Violation("pointer lost", f"{user} in {chat} read up to {seq}, stored is {stored}")
