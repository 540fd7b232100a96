"""One suite for every adapter: each test runs in memory, on a nats-server that syncs every write, and (slow) on a
cluster of three. A server lives for the session, each test has a namespace of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from conformance.field import client, field
from conformance.place import JetStreamPlace, MemoryPlace, Place
from conformance.world import World
from jetmill.bus.ports import Bus
from jetmill_operator.cluster.local import LocalCluster
from support.kube import credential, kube, kubeconfig, namespace, rest
from support.nats import NatsCluster, NatsServer

__all__ = ["client", "credential", "field", "kube", "kubeconfig", "namespace", "rest"]


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path_factory.mktemp("nats"), sync_interval="always") as server:
        yield server


@pytest.fixture(scope="session")
def nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    with NatsCluster.start(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(
    params=[
        "memory",
        pytest.param("jetstream", marks=pytest.mark.integration),
        pytest.param("cluster", marks=[pytest.mark.integration, pytest.mark.slow]),
    ]
)
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """A fresh namespace on the adapter under test."""
    place: MemoryPlace | JetStreamPlace
    if request.param == "memory":
        place = MemoryPlace()
    elif request.param == "jetstream":
        place = JetStreamPlace(request.getfixturevalue("nats_server").url)
    else:
        place = JetStreamPlace(request.getfixturevalue("nats_cluster").url, replicas=3)
    yield place
    await place.close()


@pytest.fixture
async def raw_bus(place: Place) -> Bus:
    """A Bus on a namespace that was not applied yet."""
    return await place.connect()


@pytest.fixture
async def bus(raw_bus: Bus, place: Place) -> Bus:
    """A Bus on a namespace with its streams and buckets."""
    await raw_bus.admin.apply_namespace(replicas=place.replicas)
    return raw_bus


@pytest.fixture(params=["local", pytest.param("kube", marks=pytest.mark.cluster)])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "local":
        return World(LocalCluster(namespaces=("shop",)), "shop")
    return World(request.getfixturevalue("kube"), request.getfixturevalue("namespace"))
