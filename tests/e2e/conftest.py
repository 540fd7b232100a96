"""Tests with pods (`make test-cluster`): one release for all, in the order of the files, from install to uninstall.

What was measured is printed at the end; no test asserts a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from e2e.yard import Yard
from support.figure import note_figure, register
from support.kube import kubeconfig
from support.release import STANDING, Release

__all__ = ["kubeconfig", "note_figure"]
HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    register(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that is here: pods take their time."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))


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
