"""A client's view of a chat: repeats, gaps and new epochs."""

from chaos.view import Line, Verdict, View


def line(seq: int) -> Line:
    return Line(seq, seq, f"m{seq}", "alice", f"k{seq}", "text")


def fed(*seqs: int, epoch: int = 1) -> View:
    view = View(epoch=epoch)
    for seq in seqs:
        view.live(epoch, seq, line(seq))
    return view


def seqs(view: View) -> list[int]:
    return [each.seq for each in view.in_order()]


def test_what_follows_is_taken_and_what_is_known_is_dropped() -> None:
    view = fed(1, 2)
    assert view.live(1, 2, line(2)) is Verdict.REPEAT
    assert view.live(1, 3, None) is Verdict.NEW
    assert (view.last, seqs(view)) == (3, [1, 2])


def test_a_gap_keeps_what_came_until_the_rest_was_fetched() -> None:
    view = fed(1, 2)
    assert view.live(1, 5, line(5)) is Verdict.GAP
    assert view.live(1, 6, line(6)) is Verdict.GAP
    assert view.last == 2
    assert view.fetched([line(3), line(4), line(5)], (1, 5))
    assert (view.last, seqs(view)) == (6, [1, 2, 3, 4, 5, 6])


def test_a_second_gap_behind_the_first_is_told() -> None:
    view = fed(1)
    view.live(1, 3, line(3))
    view.live(1, 6, line(6))
    assert not view.fetched([line(2), line(3)], (1, 3))
    assert (view.last, view.head) == (3, (1, 6))


def test_changes_that_history_does_not_show_are_passed_over_up_to_the_head() -> None:
    view = fed(1)
    view.live(1, 4, line(4))  # 2 and 3 were no messages
    assert view.fetched([line(4)], (1, 4))
    assert view.live(1, 5, line(5)) is Verdict.NEW


def test_a_new_epoch_replaces_the_view_by_what_was_fetched() -> None:
    view = fed(1, 2, 3)
    start = 2**20
    assert view.live(2, start + 3, line(start + 3)) is Verdict.NEW_EPOCH
    assert view.fetched([line(1), line(2), line(start + 3)], view.head)
    assert (view.epoch, seqs(view)) == (2, [1, 2, start + 3])
    assert view.live(1, 4, line(4)) is Verdict.REPEAT


def test_a_head_is_news_only_beyond_what_is_known() -> None:
    view = fed(1, 2)
    assert not view.hear(1, 2)
    assert view.hear(1, 3)
    assert view.hear(2, 1)


def test_what_a_resume_did_not_send_is_void() -> None:
    view = fed(1)
    view.live(1, 5, None)  # live, before the answer
    for seq in (2, 4):
        view.live(1, seq, line(seq))
    assert view.last == 2
    assert view.resumed(1, 4)  # 3 is void
    assert (view.last, seqs(view), view.changes) == (5, [1, 2, 4], {5})


def test_a_resume_that_ends_before_a_gap_tells_so() -> None:
    view = fed(1)
    view.live(1, 6, line(6))
    view.live(1, 2, line(2))
    assert not view.resumed(1, 3)
    assert (view.last, seqs(view)) == (3, [1, 2])
    assert view.resumed(1, 5)
    assert (view.last, seqs(view)) == (6, [1, 2, 6])


def test_a_view_that_knew_nothing_takes_the_epoch_of_the_answer() -> None:
    view = View()
    for seq in (1, 2):
        assert view.live(3, seq, line(seq)) is Verdict.NEW_EPOCH
    assert view.resumed(3, 2)
    assert (view.epoch, view.last, seqs(view)) == (3, 2, [1, 2])
    assert view.live(3, 3, line(3)) is Verdict.NEW


def test_history_shows_messages_alone() -> None:
    view = fed(1)
    view.live(1, 2, None)
    assert view.fetched([line(1), line(2**20 + 1)], (2, 2**20 + 2))
    assert (view.changes, view.reloaded, view.last) == (set(), 2**20 + 2, 2**20 + 2)
