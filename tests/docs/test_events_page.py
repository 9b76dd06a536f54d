"""The page about events is the catalog."""

import re

from shmtel import catalog
from shmtel.testing import capture
from support.docs_program import DOCS, load

maker = load("make_events.py")
known = catalog.load()
page = (DOCS / "reference" / "events.md").read_text()


def test_the_page_is_made_from_the_catalog() -> None:
    """Whoever changes the catalog makes the page again, by `make events`."""
    assert page == maker.page(known)


def test_what_an_application_emits_is_shown_and_known() -> None:
    """The lines of code run, and bring no key that the catalog does not know."""
    names = {"session_id": "s-1", "worker_id": "web-1", "duration_ns": 5, "result": b""}
    with capture() as captured:
        for block in re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.M):
            exec(compile("import shmtel\n" + block, "events.md", "exec"), dict(names))
    assert captured.dropped == {}
    for event in captured.events:
        entry = known.entry(event.name)
        assert entry is not None, event.name
        assert set(event.measurements) <= set(entry.measurements), event.name
        assert set(event.metadata or {}) <= set(entry.metadata), event.name
    emitted = {event.name for event in captured.events}
    assert emitted == {
        e.name
        for e in known.events.values()
        if "application" in e.emitters and e.kind != "exception"
    }
