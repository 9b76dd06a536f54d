"""What `shmtel hub` shows of itself, from two looks at it. Pure.

A table for a terminal, and a line for a log. Rates are what happened between two looks;
counts are the ledger's, so they go on where an earlier hub has been. What a narrow
terminal has no room for is left out from the right, and then long names are cut.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shmtel.accounting.accounts import Account
from shmtel.cli.common import count, format_reasons, format_table, plain
from shmtel.cli.durations import format_duration
from shmtel.hub.counters import HubStats
from shmtel.hub.insight import HandlerState

_ROWS_MAX = 10  # of a part of the table
_NAME_MIN = 12  # characters; before more is cut of a name, a column goes
_UNREAD = "(wanted by nobody)"
# Fields of HubStats that say that something went wrong, in words.
_TROUBLES = {
    "rejected": "events that could not be read",
    "handler_failures": "handlers that have raised",
    "missed": "events that handlers have missed",
    "dropped_events": "events of its own without room",
    "commit_failures": "failed commits",
    "discarded": "segments sent again",
    "violations": "streams ended for what they sent",
    "internal_errors": "defects in the hub",
    "refused_streams": "collectors without room",
    "refused_probes": "probes without room",
}
_Cells = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class HostLook:
    """One host.

    Attributes:
        connected_s: for how long; None: it is not.
        unanswered_s: how long its oldest batch has waited for its ack.
    """

    node: str
    connected_s: float | None
    unanswered_s: float
    account: Account


@dataclass(frozen=True, slots=True)
class HubLook:
    """A hub at one moment.

    Attributes:
        events: delivered by name, since the hub was started.
        unread: delivered, and wanted by no handler and no metric.
        reasons: what speaks against it being ready.
    """

    monotonic_s: float
    address: str
    stats: HubStats
    total: Account = field(default_factory=Account)
    hosts: Sequence[HostLook] = ()
    live_rings: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    unread: int = 0
    handlers: Sequence[HandlerState] = ()
    reasons: Sequence[str] = ()


def hub_table(before: HubLook | None, now: HubLook, columns: int) -> list[str]:
    """Draw the hub, its hosts, events and handlers, in lines of so many columns."""
    parts = [
        _head(now),
        _sums(before, now, columns),
        _fitted(_HOSTS_HEADER, _host_rows(now), columns, texts=2),
        _fitted(_EVENTS_HEADER, _event_rows(before, now), columns),
        _fitted(_HANDLERS_HEADER, _handler_rows(now), columns),
    ]
    lines = [line for part in parts if part for line in ("", *part)]
    return [plain(line) for line in lines[1:]]


def hub_line(before: HubLook | None, now: HubLook) -> str:
    """Say the same in a line."""
    words = [_connected(now), f"{now.total.delivered} events delivered"]
    if before is not None:
        rate = _per_second(before, now, now.stats.delivered - before.stats.delivered)
        words[-1] += f" ({rate:.0f}/s)"
    if on_the_way := _on_the_way(now.total):
        words.append(f"{on_the_way} on the way")
    words += [
        f"{word} {sum(counts.values())} ({format_reasons(dict(counts))})"
        for word, counts in _by_reason(now.total)
    ]
    slowest = max((host.unanswered_s for host in now.hosts), default=0.0)
    if slowest:
        words.append(f"oldest ack due for {slowest:.1f} s")
    words += [
        f"{handler.handler_id} has {count(handler.waiting, 'segment')} waiting"
        for handler in now.handlers
        if handler.waiting
    ]
    return plain("; ".join([*words, *_troubles(now), *now.reasons]))


def is_news(before: HubLook | None, now: HubLook) -> bool:
    """Say whether anything has happened since, other than that time went by."""
    if before is None:
        return True
    return _facts(before) != _facts(now)


def _facts(look: HubLook) -> tuple[object, ...]:
    hosts = [(host.node, host.connected_s is None) for host in look.hosts]
    return look.stats.delivered, _troubles(look), look.total, hosts, bool(look.reasons)


def _head(look: HubLook) -> list[str]:
    state = "not ready" if look.reasons else "ready"
    rings = count(look.live_rings, "live ring")
    lines = [f"hub on {look.address}, {state}: {_connected(look)}, {rings}"]
    return [*lines, *look.reasons, *_troubles(look)]


def _connected(look: HubLook) -> str:
    connected = sum(host.connected_s is not None for host in look.hosts)
    away = len(look.hosts) - connected
    text = f"{count(connected, 'host')} connected"
    return f"{text}, {away} away" if away else text


def _troubles(look: HubLook) -> list[str]:
    return [
        f"{text}: {getattr(look.stats, name)}"
        for name, text in _TROUBLES.items()
        if getattr(look.stats, name)
    ]


def _sums(before: HubLook | None, now: HubLook, columns: int) -> list[str]:
    total = now.total
    rate = ""
    if before is not None:
        delivered = now.stats.delivered - before.stats.delivered
        rate = f" ({_per_second(before, now, delivered):.0f}/s)"
    words = {
        "delivered": f"{total.delivered}{rate}",
        "on the way": _on_the_way(total),
        "sampled_out": total.sampled_out + total.sampled_out_by_collector,
        "filtered": total.filtered + total.filtered_by_collector,
        "disabled": total.disabled + total.disabled_by_collector,
        "unaccounted": total.unaccounted,
    }
    lines = _wrapped([f"{word} {value}" for word, value in words.items()], columns)
    for word, counts in _by_reason(total):
        lines.append(f"{word} {sum(counts.values())}: {format_reasons(dict(counts))}")
    return lines


def _wrapped(items: Iterable[str], columns: int) -> list[str]:
    """Put as many items on a line as it has room for."""
    lines: list[str] = []
    for item in items:
        longer = f"{lines[-1]}   {item}" if lines else item
        if lines and len(longer) < columns:
            lines[-1] = longer
        else:
            lines.append(item)
    return lines


_HOSTS_HEADER = (
    *("HOST", "CONNECTED", "OLDEST ACK", "DELIVERED", "DROPPED", "LOST", "ON THE WAY"),
)
_EVENTS_HEADER = ("EVENT", "DELIVERED", "DELIVERED/S")
_HANDLERS_HEADER = ("HANDLER", "WAITING", "MISSED")


def _host_rows(look: HubLook) -> list[_Cells]:
    hosts = sorted(look.hosts, key=lambda host: (host.connected_s is None, host.node))
    return list(map(_host_row, hosts))


def _host_row(host: HostLook) -> _Cells:
    account, since = host.account, "no"
    if host.connected_s is not None:
        since = format_duration(host.connected_s * 1e3)
    return (
        *(host.node, since, f"{host.unanswered_s:.1f} s" if host.unanswered_s else "-"),
        *(account.delivered, sum(account.dropped.values())),
        *(sum(account.lost.values()), _on_the_way(account)),
    )


def _event_rows(before: HubLook | None, now: HubLook) -> list[_Cells]:
    """Return the events, those of the highest rates first."""
    counts = dict(now.events) | ({_UNREAD: now.unread} if now.unread else {})
    last = {} if before is None else {**before.events, _UNREAD: before.unread}
    rates = {
        name: 0.0
        if before is None
        else _per_second(before, now, events - last.get(name, 0))
        for name, events in counts.items()
        if name and events
    }
    names = sorted(rates, key=lambda name: (-rates[name], -counts[name], name))
    return [
        (name, counts[name], "-" if before is None else f"{rates[name]:.0f}")
        for name in names
    ]


def _handler_rows(look: HubLook) -> list[_Cells]:
    return [
        (
            handler.handler_id,
            "-" if handler.waiting is None else handler.waiting,
            handler.missed,
        )
        for handler in look.handlers
    ]


def _fitted(
    header: Sequence[str], rows: Sequence[_Cells], columns: int, texts: int = 1
) -> list[str]:
    """Put a line per row; without rows there is no header either."""
    if not rows:
        return []
    shown = rows[:_ROWS_MAX]
    while True:
        lines = format_table(header, shown, texts)
        excess = max(map(len, lines)) - (columns - 1)
        name_max = max(len(str(row[0])) for row in (header, *shown)) - excess
        if excess <= 0:
            break
        if name_max >= _NAME_MIN or len(header) == 2:
            cut = [(_cut(str(row[0]), max(name_max, 1)), *row[1:]) for row in shown]
            lines = format_table(header, cut, texts)
            break
        header, shown = header[:-1], [row[:-1] for row in shown]
    more = len(rows) - len(shown)
    return [*lines, f"... and {more} more"] if more else lines


def _by_reason(total: Account) -> Iterator[tuple[str, Mapping[str, int]]]:
    words = {"dropped": total.dropped, "rejected": total.rejected, "lost": total.lost}
    return ((word, counts) for word, counts in words.items() if sum(counts.values()))


def _on_the_way(account: Account) -> int:
    return account.spooled + account.in_flight + account.in_ring


def _per_second(before: HubLook, now: HubLook, grown: int) -> float:
    elapsed_s = now.monotonic_s - before.monotonic_s
    return max(grown, 0) / elapsed_s if elapsed_s > 0 else 0.0


def _cut(name: str, name_max: int) -> str:
    return name if len(name) <= name_max else f"{name[: name_max - 1]}…"
