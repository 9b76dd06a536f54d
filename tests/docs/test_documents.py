"""The documents tell the truth: their code runs, their links lead somewhere."""

import re
import sys
from pathlib import Path

import pytest

from support.program import json_lines, shmtel

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def _blocks(document: Path, language: str) -> list[str]:
    text = document.read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_readme_s_worker_emits_what_it_shows(tmp_path: Path) -> None:
    """The first program of the README runs, and its events arrive."""
    program = tmp_path / "shop.py"
    program.write_text(_blocks(ROOT / "README.md", "python")[0])
    events = tmp_path / "events.jsonl"
    result = shmtel(
        *("run", "--jsonl", str(events), "--", sys.executable, str(program))
    )
    assert result.returncode == 0, result.stderr
    names = [event["event"] for event in json_lines(events)]
    assert names == 3 * [
        *("order.check_out.start", "order.price.start", "order.price.stop"),
        *("order.priced", "order.check_out.stop"),
    ]


def test_the_readme_s_worker_is_short() -> None:
    """Fifteen lines of code are promised."""
    code = _blocks(ROOT / "README.md", "python")[0]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 15


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_code_is_valid(document: Path) -> None:
    """Every block of Python compiles."""
    for block in _blocks(document, "python"):
        compile(block, document.name, "exec")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link names a file of the repository, and a heading in it."""
    for link in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.M) if heading else []
        slugs = [re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings]
        assert not heading or heading in slugs, link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_sentence_has_a_line_of_its_own(document: Path) -> None:
    """No line of prose holds the end of a sentence and the start of the next."""
    prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.DOTALL | re.M)
    lines = [line for line in prose.splitlines() if not line.startswith("|")]
    assert [line for line in lines if re.search(r"[a-z`)][.!?] [A-Z`]", line)] == []
