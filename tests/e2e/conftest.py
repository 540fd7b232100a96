"""Tests with pods (`make test-cluster`): one release for all, in the order of the files, from install to uninstall.

What was measured is printed at the end; no test asserts a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from e2e.yard import Yard
from support.kube import kubeconfig
from support.release import STANDING, Release

__all__ = ["kubeconfig"]
HERE = Path(__file__).parent
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


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Figures(), "jetmill-figures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that is here: pods take their time."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def release(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The chart with its default values, installed; gone with the session."""
    release = Release(kubeconfig, tmp_path_factory.mktemp("release"))
    if STANDING:
        yield release
        return
    for namespace in (release.home, release.shop):
        release.kubectl("create", "namespace", namespace)
    try:
        release.install()
        yield release
    finally:
        if release.name in release.helm("list", "--short"):
            release.helm("uninstall", release.name)
        release.kubectl("delete", "namespace", release.home, release.shop, "--wait=false")


@pytest.fixture
async def yard(release: Release) -> AsyncIterator[Yard]:
    """A client of the release, and Jobs of the test's own, which go with it."""
    with release.forwarded() as environ:
        async with Yard(release, environ) as yard:
            yield yard


@pytest.fixture
def note_figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keep a line for the end."""
    return lambda line: request.node.user_properties.append((_PROPERTY, line))
