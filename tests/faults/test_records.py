"""The journal: what is in memory is in its file, one object a line."""

from pathlib import Path
from typing import Any

import msgspec

from chaos.records import Acked, Journal, Record, Sent


def test_the_file_holds_what_memory_holds(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        who: dict[str, Any] = {"client": "alice.1", "user_id": "alice", "edge": "edge-a"}
        who |= {"chat_id": "c", "key": "k"}
        journal.write(Sent(at=journal.now, attempt=1, **who))
        position: dict[str, Any] = {"epoch": 1, "seq": 2, "number": 2}
        journal.write(Acked(at=journal.now, message_id="m", duplicate=False, **position, **who))
    decoder = msgspec.json.Decoder(Record)
    lines = journal.path.read_bytes().splitlines()
    assert [decoder.decode(line) for line in lines] == journal.records
    assert journal.records[0].at <= journal.records[1].at
