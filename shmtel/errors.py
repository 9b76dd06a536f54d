"""Exceptions and warnings that applications may meet.

`emit` and `span` raise none of them; set-up calls and tools do.
"""


class ShmtelError(Exception):
    """Base of all errors of shmtel."""


class SegmentError(ShmtelError):
    """A shared-memory segment cannot be made, opened or removed."""


class ConfigurationError(ShmtelError):
    """A setting that a tool was given is wrong; the text names the cure."""


class ShmtelWarning(RuntimeWarning):
    """Something keeps telemetry from working as asked; the program runs on."""
