"""Batches in work, and the order in which they are done."""

from collections.abc import Sequence

from shmtel.hub.progress import Errand, Progress, Work
from shmtel.hub.sinks import Marks


class Line:
    """A stream's progress, and what came out of it."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.acked: list[int] = []
        self.progress = Progress(Marks(), self._submit, self._acknowledge)
        self._works: list[Work] = []

    def _submit(self, done: Sequence[Work]) -> None:
        self._works += done
        self.done += [work.batch_seq for work in done]

    def _acknowledge(self, batch_seq: int) -> None:
        self.acked.append(batch_seq)
        self.progress.settle(batch_seq)

    def commit(self) -> None:
        """Commit what is done."""
        for work in self._works:
            work.committed()
        self._works.clear()


def test_batches_are_done_in_order() -> None:
    """One that is finished early waits for those before it."""
    line = Line()
    first, second, third = (line.progress.begin(seq) for seq in (1, 2, 3))
    first.hold()
    for work in (first, second, third):
        work.release()
    assert line.done == []
    first.release()
    assert line.done == [1, 2, 3]


def test_it_is_idle_when_all_is_committed() -> None:
    """Not before: what is done and not on the record may be lost."""
    line = Line()
    assert line.progress.is_idle
    line.progress.begin(1).release()
    assert not line.progress.is_idle
    line.commit()
    assert line.progress.is_idle
    assert line.acked == [1]


def test_a_batch_that_broke_is_in_nobodys_way() -> None:
    """It is forgotten, also by those who finish their part of it later."""
    line = Line()
    first, broken = line.progress.begin(1), line.progress.begin(2)
    broken.hold()
    line.progress.drop(broken)
    first.release()
    line.commit()
    assert line.progress.is_idle
    broken.release()
    broken.release()
    assert line.done == [1]


def test_an_errand_is_waited_for() -> None:
    """Until everybody has let go."""
    errand = Errand()
    errand.hold()
    errand.release()
    errand.wait()
