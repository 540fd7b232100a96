"""Tests on the API of a real Kubernetes cluster (`make test-cluster`). What takes down a part of it runs last."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill_operator.cluster.credential import Credential
from jetmill_operator.cluster.kube import KubeCluster
from support.faultproxy import FaultProxy
from support.figure import note_figure, register
from support.kube import credential, kube, kubeconfig, namespace, rest
from support.nats import NatsServer
from support.operating import OperatorProcess, Start
from support.person import Person

__all__ = ["credential", "kube", "kubeconfig", "namespace", "note_figure", "rest"]

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    register(config)


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


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def bus(nats: NatsServer, namespace: str) -> AsyncIterator[Bus]:
    bus = await connect(BusOptions(url=nats.url, namespace=namespace))
    yield bus
    await bus.link.close()


@pytest.fixture
def environ(nats: NatsServer, kubeconfig: Path, namespace: str) -> Mapping[str, str]:
    """What an operator of the test's own namespace is told."""
    return {
        "JETMILL_NATS_URL": nats.url,
        "KUBECONFIG": str(kubeconfig),
        "JETMILL_WATCH_NAMESPACES": namespace,
        "JETMILL_POD_NAMESPACE": namespace,
    }


@pytest.fixture
def start(tmp_path: Path, environ: Mapping[str, str]) -> Iterator[Start]:
    """Start operators; they end with the test."""
    with ExitStack() as stack:

        async def begin(*, wait: bool = True, die_after: int | None = None, **more: str) -> OperatorProcess:
            process = OperatorProcess(tmp_path, {**environ, **more}, die_after=die_after)
            stack.callback(process.kill)
            if wait:
                await process.ready()
            return process

        yield begin


@pytest.fixture
def person(kube: KubeCluster, namespace: str) -> Person:
    return Person(kube, namespace)
