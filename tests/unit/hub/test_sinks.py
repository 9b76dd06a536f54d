"""Up to where sinks are known to be on the record."""

import pytest

from shmtel.hub.sinks import IsCommitted, Marks


class Sink:
    """A sink that can be moved on."""

    def __init__(self) -> None:
        self.repeated = 0
        self.end = 0
        self.recovered: list[str | None] = []
        self.is_committed: IsCommitted | None = None

    def mark(self) -> str:
        """Return where it ends."""
        return str(self.end)

    def recover(self, mark: str | None, is_committed: IsCommitted) -> None:
        """Note the mark."""
        self.recovered.append(mark)
        self.is_committed = is_committed


def make_marks(**kept: str) -> Marks:
    """Return marks that are noted for each batch."""
    return Marks(kept, {"ab": 5}, interval_s=0.0)


def test_a_mark_is_before_all_that_is_in_work() -> None:
    """What any batch in work may have stored already lies behind it."""
    marks, sink = make_marks(), Sink()
    marks.add("s", sink)
    first = marks.begin()
    sink.end = 10
    second = marks.begin()
    sink.end = 20
    assert marks.finish([second]) == {"s": "0"}
    third = marks.begin()
    sink.end = 30
    assert marks.finish([first]) == {"s": "20"}
    assert marks.finish([third]) == {"s": "30"}
    assert marks.finish([]) == {}


def test_a_sink_that_comes_while_something_is_in_work() -> None:
    """That batch may have reached it, at a place that nobody noted."""
    marks, sink = make_marks(s="7"), Sink()
    early = marks.begin()
    marks.add("s", sink)
    sink.end = 50
    late = marks.begin()
    assert marks.finish([late]) == {}
    assert marks.finish([early]) == {"s": "50"}


def test_a_sink_recovers_from_the_mark_that_was_kept() -> None:
    """Or from none, and after a detach from where it was."""
    marks, sink, other = make_marks(s="7"), Sink(), Sink()
    marks.recover("s", sink)
    marks.recover("o", other)
    assert (sink.recovered, other.recovered) == (["7"], [None])
    marks.add("s", sink)
    sink.end, sink.repeated = 9, 2
    marks.finish([marks.begin()])
    marks.remove("s")
    marks.recover("s", sink)
    assert sink.recovered == ["7", "9"]
    assert marks.repeated() == 2


def test_a_sink_is_told_what_is_on_record() -> None:
    """What the hub before has committed does not come again."""
    marks, sink = make_marks(), Sink()
    marks.recover("s", sink)
    assert sink.is_committed is not None
    assert [sink.is_committed("ab", seq) for seq in (5, 6)] == [True, False]
    assert not sink.is_committed("cd", 1)


def test_marks_are_noted_now_and_then() -> None:
    """A mark may be large, and an older one is as good."""
    marks, sink = Marks(interval_s=3_600.0), Sink()
    marks.add("s", sink)
    first = marks.begin()
    sink.end = 10
    second = marks.begin()
    assert marks.finish([first]) == {"s": "0"}
    assert marks.finish([second]) == {}


class Broken(Sink):
    """A sink that cannot tell where it ends, from some moment on."""

    def mark(self) -> str:
        """Return where it ends, while that is near."""
        if self.end > 1:
            raise OSError("no such file")
        return super().mark()


def test_a_sink_without_a_mark_keeps_its_last(caplog: pytest.LogCaptureFixture) -> None:
    """It holds up neither batches nor the marks of others, and is named once."""
    marks, broken, sink = make_marks(), Broken(), Sink()
    marks.add("broken", broken)
    marks.add("s", sink)
    broken.end = sink.end = 1
    assert marks.finish([marks.begin()]) == {"broken": "1", "s": "1"}
    broken.end = sink.end = 2
    assert marks.finish([marks.begin()]) == {"s": "2"}
    assert marks.finish([marks.begin()]) == {}
    assert caplog.text.count("'broken'") == 1


def test_a_sink_that_never_had_a_mark_keeps_what_was_kept() -> None:
    """What the hub before has written down stays as it is."""
    marks, broken = make_marks(broken="7"), Broken()
    broken.end = 2
    marks.add("broken", broken)
    assert marks.finish([marks.begin()]) == {}
