"""With REQUIRE_ALL=1 (or --require-all) a skipped test is a failure, and says why it was skipped.

On a laptop a test that lacks something is skipped with the reason and the cure. CI has everything, so there a skip
is a test that silently no longer runs. The report itself is turned, which holds for xdist's processes as well.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

ReportT = TypeVar("ReportT", pytest.TestReport, pytest.CollectReport)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-all",
        action="store_true",
        default=os.environ.get("REQUIRE_ALL", "") not in ("", "0"),
        help="a skipped test is a failure (also REQUIRE_ALL=1)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _refuse_skip(report, item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _refuse_skip(report, collector.config)


def _refuse_skip(report: ReportT, config: pytest.Config) -> ReportT:
    if report.skipped and not hasattr(report, "wasxfail") and config.getoption("--require-all"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: not run, and REQUIRE_ALL is set. {reason}"
    return report
