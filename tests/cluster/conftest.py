"""Tests on the API of a real Kubernetes cluster (`make test-cluster`). What takes down a part of it runs last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jetmill_operator.cluster.credential import Credential
from support.faultproxy import FaultProxy
from support.kube import credential, kube, kubeconfig, namespace, rest

__all__ = ["credential", "kube", "kubeconfig", "namespace", "rest"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that is here, and put the disruptive ones at the end."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
    items.sort(key=lambda item: item.get_closest_marker("disruptive") is not None)


@pytest.fixture
async def proxy(credential: Credential, tmp_path: Path) -> AsyncIterator[FaultProxy]:
    """What stands in front of the API server, and can fail."""
    async with FaultProxy.start(credential, tmp_path) as proxy:
        yield proxy
