"""With REQUIRE_ALL=1 (or --require-all) a skipped test is a failure, and says why it was skipped.

On a laptop a test that lacks something is skipped with the reason and the cure. CI has everything, so there a skip
is a test that silently no longer runs. The report itself is turned, which holds for xdist's processes as well.

A test marked `field("Job.spec.retry.factor")` proves what that field of a CRD does. Which of them ran, and whether they
passed, is kept in build/fields.json, one session over the other; `make check-fields` reads it.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest

# How long one example takes says nothing on a machine that does other things as well.
# CI looks three times as long as a developer who wants to go on.
hypothesis.settings.register_profile("house", deadline=None, max_examples=30 if os.environ.get("CI") else 10)
hypothesis.settings.load_profile("house")

# Modules and tests are there to the end: what collects garbage need not look at them again and again.
gc.disable()

_LOG_LINES = 40
ReportT = TypeVar("ReportT", pytest.TestReport, pytest.CollectReport)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-all",
        action="store_true",
        default=os.environ.get("REQUIRE_ALL", "") not in ("", "0"),
        help="a skipped test is a failure (also REQUIRE_ALL=1)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the processes of xdist report to the first one
        config.pluginmanager.register(FieldRecorder(config.rootpath / "build/fields.json"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fields = [name for mark in item.iter_markers("field") for name in mark.args]
        if fields:
            item.user_properties.append(("fields", fields))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


class FieldRecorder:
    """Keeps which fields were proven by which tests."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: dict[str, dict[str, object]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        fields = dict(report.user_properties).get("fields")
        if fields:
            before = self._seen.get(report.nodeid, {}).get("passed", True)
            self._seen[report.nodeid] = {"fields": fields, "passed": bool(before and report.passed)}

    def pytest_sessionfinish(self) -> None:
        if not self._seen:
            return
        self._file.parent.mkdir(exist_ok=True)
        with self._file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # `make unit` has three sessions at once
            file.seek(0)
            known = json.loads(file.read() or "{}")
            file.truncate(0)
            json.dump(known | self._seen, file, indent=1, sort_keys=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        _add_logs(report, item)
    return _refuse_skip(report, item.config)


def _add_logs(report: pytest.TestReport, item: pytest.Item) -> None:
    """How the processes of a failed test ended is in their logs, which nobody finds afterwards."""
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    for log in sorted(folder.glob("*.log")) if folder is not None else ():
        lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        report.sections.append((log.name, "\n".join(lines)))


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
