"""`shmtel export` of the rings of this host."""

import json
import os
from pathlib import Path

from support.processes import run_python
from support.program import shmtel
from support.trace_format import check_trace, of_kind

WORKER = """
import os, shmtel
with shmtel.span("shop.order", {"shop": "north"}):
    with shmtel.span("shop.pay"):
        shmtel.emit("shop.paid", {"total": 5})
    child = os.fork()
    if child == 0:
        with shmtel.span("shop.mail"):
            pass
        os._exit(0)
    os.waitpid(child, 0)
left = shmtel.span("shop.left")
left.__enter__()
os._exit(0)
"""


def test_a_trace_of_the_rings(namespace: str, tmp_path: Path) -> None:
    """Spans of processes, also of dead ones, nest and are joined by an arrow."""
    run_python(WORKER, namespace)
    path = tmp_path / "trace.json"
    where = ("--namespace", namespace, "-o", str(path))
    result = shmtel("export", "--format", "chrome", *where)
    assert result.returncode == 0, result.stderr
    events = check_trace(json.loads(path.read_text()))
    slices = {event["name"]: event for event in of_kind(events, "X")}
    assert slices.keys() == {"shop.order", "shop.pay", "shop.mail"}
    assert slices["shop.pay"]["tid"] == slices["shop.order"]["tid"]
    assert slices["shop.mail"]["pid"] != slices["shop.order"]["pid"]
    assert [event["name"] for event in of_kind(events, "B")] == ["shop.left"]
    assert [event["name"] for event in of_kind(events, "i")] == ["shop.paid"]
    assert len(of_kind(events, "s")) == 1
    assert os.listdir(tmp_path) == ["trace.json"]
