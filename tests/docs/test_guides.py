"""The Python examples of the guides run, and do what they say."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

import shmtel
from shmtel import catalog
from shmtel.hub.files.parquet import read_lines, write_parquet
from shmtel.testing import Capture, capture
from support.processes import run_python
from support.program import fresh_namespace

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


def blocks(guide: str) -> list[str]:
    """Return the Python blocks of a guide."""
    text = (GUIDES / guide).read_text()
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(code: str, **names: Any) -> dict[str, Any]:
    """Run a block with some names defined, and return what it defines."""
    namespace = {"__name__": "example", **names}
    exec(compile(code, "guide", "exec"), namespace)
    return namespace


def snakepit(index: int, **names: Any) -> tuple[dict[str, Any], Capture]:
    """Run a block of the page for users of Snakepit."""
    with capture() as captured:
        return run(blocks("snakepit.md")[index], **names), captured


def test_snakepit_s_first_event() -> None:
    """An event with a correlation ID by keyword."""
    _, captured = snakepit(0)
    (event,) = captured.events
    assert event.name == "tool.execution.start"
    assert event.metadata == {"tool": "my_tool", "operation": "predict"}
    assert event.correlation_id == "abc-123"
    assert event.measurements.keys() == {"system_time"}


@pytest.mark.parametrize(
    ("index", "function"), [(1, "expensive_operation"), (2, "process_data")]
)
def test_snakepit_s_spans(index: int, function: str) -> None:
    """A span around the work, with an event inside."""
    defined, _ = snakepit(index, **{function: lambda data: data * 2})
    with capture() as captured:
        assert defined["my_tool"](None, "abc") == "abcabc"
    start, size, stop = captured.events
    assert (start.name, stop.name) == ("tool.execution.start", "tool.execution.stop")
    assert (size.name, size.measurements) == ("tool.result_size", {"bytes": 6})
    assert size.parent_id == start.span_id


def test_snakepit_s_correlation_id() -> None:
    """The ID of the context is that of the span."""
    defined, _ = snakepit(3, do_work=lambda data: shmtel.emit("work", {}))
    with capture() as captured, shmtel.correlation("request-7"):
        defined["my_tool"](None, "abc")
    assert {event.correlation_id for event in captured.events} == {"request-7"}
    assert len(captured.events) == 3


def test_snakepit_s_dropped_count() -> None:
    """The count is found where it was, and it is this process's."""
    code = "import shmtel\nshmtel.emit(5, {})\n" + blocks("snakepit.md")[4]
    with fresh_namespace() as namespace:
        done = run_python(code, namespace)
    assert done.stderr == "Telemetry dropped 1 events\n"


def test_every_block_of_the_snakepit_page_is_run() -> None:
    """The five examples are all there are."""
    assert len(blocks("snakepit.md")) == 5


@pytest.mark.parametrize(
    "guide",
    [
        "worker.md",
        "correlation.md",
        "testing.md",
        "catalog.md",
        "pools.md",
        "celery.md",
        "grpc.md",
    ],
)
def test_blocks_of_other_guides_run(guide: str) -> None:
    """They raise nothing, and drop nothing."""
    for block in blocks(guide):
        with capture() as captured:
            run(block)
        assert captured.dropped == {}


def test_blocks_for_the_parent_of_workers_run() -> None:
    """They change what the whole process is, so it is one of its own."""
    for block in blocks("gunicorn.md"):
        code = "from shmtel.testing import capture\nwith capture() as captured:\n"
        code += textwrap.indent(block, "    ") + "assert captured.dropped == {}\n"
        with fresh_namespace() as namespace:
            assert run_python(code, namespace).stderr == ""


def test_the_catalog_of_the_guide_is_right(tmp_path: Path) -> None:
    """It loads, and is what the guide says of it."""
    text = (GUIDES / "catalog.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    path = tmp_path / "shop.toml"
    path.write_text(example)
    known = catalog.load([path])
    start = known.entry("shop.check_out.start")
    assert start is not None
    assert f"{start.name}: system_time (ns), {', '.join(start.metadata)}\n" in text
    stop = known.entry("tool.execution.stop")
    assert stop is not None
    assert stop.measurements["tokens"] == "1"


def test_a_sink_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rotation is as the guide says; and the reader of columns runs."""
    monkeypatch.chdir(tmp_path)
    made = run(blocks("files.md")[1])
    assert [handler.handler_id for handler in made["hub"].list_handlers()] == ["jsonl"]
    made["hub"].stop()
    made["sink"].close()
    with (tmp_path / "events.jsonl").open("rb") as lines:
        write_parquet(read_lines(lines), tmp_path / "events.000001.parquet")
    table = run(blocks("files.md")[0])["exceptions"](tmp_path)
    assert (table.num_rows, "measurements" in table.column_names) == (0, True)
