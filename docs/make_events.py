"""Makes docs/reference/events.md from the catalog.

    python docs/make_events.py > docs/reference/events.md

Rules: nothing that is said of an event is said here.
"""

from collections.abc import Iterator
from dataclasses import asdict

from shmtel.catalog import Catalog, load
from shmtel.catalog_entries import LAYERS, EventEntry

INTRODUCTION = """# Events

This page is made from `shmtel/catalog.toml` by `make events`; change the catalog, not the page.
`shmtel catalog show` has the same on the command line, with what [files of your own](../guides/catalog.md) add to it.

Units are `ns` for durations and times, `bytes` for sizes and `1` for counts.
"""
_LAYERS = {
    "infrastructure": "Pools, workers and sessions.",
    "execution": "What Python code does, and what it takes.",
    "bridge": "Calls, streams and connections of gRPC.",
    "shmtel": "What shmtel does itself.",
}
_LIMITS = {
    "depth": "containers in each other, the metadata map itself included",
    "keys": "of one map",
    "string_bytes": "of one text or byte string, in UTF-8",
    "name_bytes": "of the name of an event or a key, in UTF-8",
}


def page(catalog: Catalog) -> str:
    """Return the page about a catalog."""
    return "\n".join([INTRODUCTION, *_events(catalog), *_rest(catalog)])


def _events(catalog: Catalog) -> Iterator[str]:
    for layer in LAYERS:
        entries = [e for e in catalog.events.values() if e.layer == layer]
        if not entries:
            continue
        yield f"## {layer.capitalize()}\n\n{_LAYERS[layer]}\n"
        yield "| event | kind | emitted by | what it says |"
        yield "|---|---|---|---|"
        for e in entries:
            yield f"| `{e.name}` | {e.kind} | {', '.join(e.emitters)} | {e.summary} |"
        yield "\n| event | measurements | metadata |"
        yield "|---|---|---|"
        for e in entries:
            yield f"| `{e.name}` | {_units(e)} | {_words(e.metadata)} |"
        yield ""
        yield from _ways(entries)


def _ways(entries: list[EventEntry]) -> Iterator[str]:
    """Show how an application emits them; a span's way is that of all its events."""
    ways = dict.fromkeys(e.how for e in entries if "application" in e.emitters)
    if ways:
        yield "An application emits its part so:\n"
        yield "```python"
        yield from ways
        yield "```\n"
    for e in entries:
        if e.how and "application" not in e.emitters:
            yield f"- `{e.name}`: `{e.how}`"
    if any(e.how and "application" not in e.emitters for e in entries):
        yield ""


def _rest(catalog: Catalog) -> Iterator[str]:
    yield "## Keys that the hub sets\n"
    yield f"{_words(catalog.stamped)}.\n"
    yield "A worker's own key of such a name arrives as `user.KEY`.\n"
    yield "## Reserved names\n"
    namespaces = _words([f"{name}.*" for name in catalog.reserved])
    yield f"{namespaces} are names that shmtel gives.\n"
    yield "## Limits\n"
    yield "| limit | at most | what |"
    yield "|---|---|---|"
    for key, number in asdict(catalog.limits).items():
        yield f"| `{key}` | {number} | {_LIMITS[key]} |"
    yield ""


def _units(entry: EventEntry) -> str:
    units = (f"`{key}` ({unit})" for key, unit in entry.measurements.items())
    return ", ".join(units) or "-"


def _words(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words) or "-"


if __name__ == "__main__":
    print(page(load()), end="")
