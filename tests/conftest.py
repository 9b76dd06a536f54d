"""What holds for the whole suite: with SHMTEL_NO_SKIP=1 nothing may be skipped."""

import os
from collections.abc import Generator

import pytest

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
