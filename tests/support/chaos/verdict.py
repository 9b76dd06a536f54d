"""What came of a run, in a line."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a run.

    Attributes:
        left_out: kinds of faults that this machine does not permit.
    """

    seed: int
    flaws: list[str]
    delivered: int
    emitted: int
    workers: int
    lives: dict[str, int]
    faults: dict[str, int]
    strikes: dict[str, int]
    left_out: list[str]
    seconds: float

    def __str__(self) -> str:
        counts = {**self.faults, **self.strikes}
        what = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        lives = ", ".join(f"{count} {name}s" for name, count in self.lives.items())
        end = "clean" if not self.flaws else f"{len(self.flaws)} FLAWS"
        return (
            f"seed {self.seed}: {end}; {self.emitted} calls of {self.workers} workers, "
            f"{self.delivered} delivered, {lives}; {what}; {self.seconds:.0f} s"
        )
