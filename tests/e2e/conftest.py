"""Tests with pods (`make test-cluster`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kube import kubeconfig
from support.release import Release

__all__ = ["kubeconfig"]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that is here: pods take their time."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="module")
def release(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The chart with its default values, installed; gone with the module."""
    release = Release(kubeconfig, tmp_path_factory.mktemp("release"))
    for namespace in (release.home, release.shop):
        release.kubectl("create", "namespace", namespace)
    try:
        release.install()
        yield release
    finally:
        if release.name in release.helm("list", "--short"):
            release.helm("uninstall", release.name)
        release.kubectl("delete", "namespace", release.home, release.shop, "--wait=false")
