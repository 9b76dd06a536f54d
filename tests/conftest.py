"""What holds for the whole suite.

With SHMTEL_NO_SKIP=1 nothing may be skipped. Programs that keep state and are not
told where keep it in a place of their test's, made only when they use it.
"""

import itertools
import os
from collections.abc import Generator

import pytest

_numbers = itertools.count()
_NO_SKIP = os.environ.get("SHMTEL_NO_SKIP") == "1"


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure; an expected failure is no skip."""
    if _NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {reason} (SHMTEL_NO_SKIP=1)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[
    None, pytest.TestReport, pytest.TestReport
]:
    """Judge the outcome of a test."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[
    None, pytest.CollectReport, pytest.CollectReport
]:
    """Judge the outcome of collecting a module."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.fixture(autouse=True)
def _state_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep what one test leaves out of the next, and out of the user's home."""
    place = tmp_path_factory.getbasetemp() / f"state-{next(_numbers)}"
    monkeypatch.setenv("XDG_STATE_HOME", str(place))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
