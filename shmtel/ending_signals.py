"""The signals that end a daemon in good order."""

import signal


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return them: a terminal that is closed counts, unless `nohup` has said not to."""
    signals = (signal.SIGTERM, signal.SIGINT)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return signals
    return (*signals, signal.SIGHUP)
