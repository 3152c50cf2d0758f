from structlog.testing import capture_logs

from mesh.outage import Outage


def test_an_outage_is_told_when_it_begins_and_when_it_is_over() -> None:
    now = 0.0
    outage = Outage("thing.fails", "thing.works", quiet_seconds=3, clock=lambda: now, thing="one")
    with capture_logs() as logs:
        outage.worked()
        for second in range(20):
            now = float(second)
            outage.failed(error="gone")
            outage.worked()  # another call, which had luck
        now = 30.0
        outage.worked()
        outage.worked()
        outage.failed(error="again")
    assert [(log["log_level"], log["event"]) for log in logs] == [
        ("warning", "thing.fails"),
        ("info", "thing.works"),
        ("warning", "thing.fails"),
    ]
    assert {log["thing"] for log in logs} == {"one"}
    assert (logs[0]["error"], logs[1]["after_seconds"], logs[1]["failures"]) == ("gone", 30.0, 20)
