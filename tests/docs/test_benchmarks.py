"""The numbers that the benchmarks' page quotes are those that are stored."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """Return the program that makes the tables; it is no part of the product."""
    spec = importlib.util.spec_from_file_location("tables", BENCHMARKS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_made_of_the_stored_results(tables: ModuleType) -> None:
    """Making the tables anew changes nothing."""
    text = (BENCHMARKS / "README.md").read_text()
    assert tables.renewed(text) == text


def test_every_table_is_on_the_page(tables: ModuleType) -> None:
    """No table is made that nobody reads, and every stored result is quoted."""
    text = (BENCHMARKS / "README.md").read_text()
    for name in tables.TABLES:
        assert f"<!-- table: {name} -->" in text
    for result in (BENCHMARKS / "results").glob("*.json"):
        assert f"`{result.name}`" in text
    for plot in (BENCHMARKS / "results" / "plots").glob("*.svg"):
        assert f"(results/plots/{plot.name})" in text
