"""Figures that tests measured: printed at the end, asserted nowhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Note = Callable[[str], None]
"""Keeps a line for the end."""
_PLUGIN = "jetmill-figures"
_PROPERTY = "figure"


class Figures:
    """Prints what tests measured."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            self._lines += [str(value) for name, value in report.user_properties if name == _PROPERTY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._lines:
            terminalreporter.section("figures")
            for line in self._lines:
                terminalreporter.write_line(line)


def register(config: pytest.Config) -> None:
    """Have figures printed; more than one folder may ask for it."""
    if not config.pluginmanager.has_plugin(_PLUGIN):
        config.pluginmanager.register(Figures(), _PLUGIN)


@pytest.fixture
def note_figure(request: pytest.FixtureRequest) -> Note:
    """Keep a line for the end."""
    return lambda line: request.node.user_properties.append((_PROPERTY, line))
