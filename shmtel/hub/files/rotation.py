"""When a file has had enough, and what becomes of it then."""

from dataclasses import dataclass, field

from shmtel.errors import ConfigurationError
from shmtel.hub.files.forms import Form, Lines


@dataclass(frozen=True, slots=True)
class Rotation:
    """How a file is rotated; by default not at all.

    Attributes:
        max_bytes: a batch that would make it larger goes into the next file; only a
            batch that is larger by itself makes a larger file. None: no limit.
        every_s: a file holds what came in one span of so many seconds, counted from
            midnight UTC and whatever divides a day. None: no limit.
        keep: how many rotated files are kept; older ones are removed. None: all.
        form: the form that rotated files are given.

    Raises:
        ConfigurationError: a number is not above 0.
    """

    max_bytes: int | None = None
    every_s: float | None = None
    keep: int | None = None
    form: Form = field(default_factory=Lines)

    def __post_init__(self) -> None:
        for name in ("max_bytes", "every_s", "keep"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"`{name}` is above 0 or None, not {value}")
        if not self.is_on and not (self.keep is None and isinstance(self.form, Lines)):
            raise ConfigurationError(
                "`keep` and `form` are for rotated files: set `max_bytes` or `every_s`"
            )

    @property
    def is_on(self) -> bool:
        """Whether files are rotated here, and not by others or never."""
        return self.max_bytes is not None or self.every_s is not None

    def is_full(self, size_bytes: int, more_bytes: int) -> bool:
        """Say whether more does not go into a file of this size."""
        limit = self.max_bytes
        return limit is not None and size_bytes + more_bytes > limit

    def end_of(self, moment_s: float) -> float:
        """Return when the span ends that a moment is in."""
        if self.every_s is None:
            return float("inf")
        return (moment_s // self.every_s + 1) * self.every_s
