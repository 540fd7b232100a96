"""kopf as watch engine on a real API server, and through a proxy that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from statistics import median
from typing import Any

import pytest

from jetmill_operator.cluster.credential import Credential
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import DEPLOYMENT, POD, SERVICE_ACCOUNT, Body, EventType, Kind
from jetmill_operator.reconcile.sentinel import DeadWatchError, Sentinel
from jetmill_operator.reconcile.watch import MANAGED, Watch, Watched, WatchEndedError
from support.kube import MANAGER, PROBE
from support.wait import eventually, soon

KINDS = (Watched(PROBE, quiet=True), Watched(DEPLOYMENT, MANAGED), Watched(POD, MANAGED))


class Observed:
    """A watch, and what it told."""

    def __init__(self, credential: Credential, *namespaces: str, **options: Any) -> None:
        self.events: list[tuple[EventType, str]] = []
        self.times: dict[str, float] = {}
        options = {"watched": KINDS, **options}
        self.watch = Watch(credential, self.note, namespaces=namespaces, **options)

    def note(self, kind: Kind, event: EventType, body: Body) -> None:
        name = body["metadata"]["name"]
        assert "managedFields" not in body["metadata"]
        assert body["kind"] == kind.name
        self.events.append((event, name))
        self.times[name] = asyncio.get_running_loop().time()

    def told(self, event: EventType, name: str) -> Callable[[], bool]:
        return lambda: (event, name) in self.events

    async def begin(self) -> None:
        self.watch.start()
        await eventually(lambda: self.watch.complete, what="all streams")


@pytest.fixture
async def observe(namespace: str, credential: Credential) -> AsyncIterator[Callable[..., Any]]:
    """Start a watch of the test's namespace; all are stopped in the end."""
    async with AsyncExitStack() as stack:

        async def start(through: Credential | None = None, **options: Any) -> Observed:
            observed = Observed(through or credential, namespace, **options)
            stack.push_async_callback(observed.watch.stop)
            await observed.begin()
            return observed

        yield start


@pytest.fixture
def probe(namespace: str, kube: KubeCluster) -> Callable[..., Any]:
    """Apply a probe."""

    async def apply(name: str = "one", *, subresource: str = "", **parts: Any) -> Body:
        head = {"name": name, "namespace": namespace}
        body = {"apiVersion": PROBE.api_version, "kind": PROBE.name, "metadata": head, **parts}
        return await kube.apply(PROBE, body, manager=MANAGER, subresource=subresource)

    return apply


async def test_what_is_there_is_listed_and_what_happens_is_told(observe, probe, kube, namespace) -> None:
    await probe("old")
    observed = await observe()
    await eventually(observed.told("LISTED", "old"))
    await probe("new")
    await eventually(observed.told("ADDED", "new"))
    await probe("new", spec={"size": 2})
    await eventually(observed.told("MODIFIED", "new"))
    await kube.delete(PROBE, namespace, "new")
    await eventually(observed.told("DELETED", "new"))
    assert observed.watch.versions(PROBE).keys() == {(namespace, "old")}


async def test_a_status_that_was_written_is_not_told(observe, probe) -> None:
    observed = await observe()
    await probe()
    await eventually(observed.told("ADDED", "one"))
    version = (await probe(status={"backlog": 1}, subresource="status"))["metadata"]["resourceVersion"]
    await eventually(lambda: version in observed.watch.versions(PROBE).values())
    await probe("two")
    await eventually(observed.told("ADDED", "two"))
    assert observed.events == [("ADDED", "one"), ("ADDED", "two")]


async def test_only_children_of_ours_are_told(observe, kube, namespace) -> None:
    observed = await observe()
    await eventually(lambda: kube.get(SERVICE_ACCOUNT, namespace, "default"), what="what pods run as")
    for name, labels in (("theirs", {}), ("ours", MANAGED)):
        pod: Body = {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "worker", "image": "busybox:1.35"}]},
        }
        head = {"name": name, "namespace": namespace, "labels": dict(labels)}
        spec = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": pod}
        body = {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.name, "metadata": head, "spec": spec}
        await kube.apply(DEPLOYMENT, body, manager=MANAGER)
        spec = {**pod["spec"], "nodeSelector": {"no": "where"}}
        head = {**head, "name": f"pod-of-{name}"}
        await kube.create(POD, {"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": spec})
    await eventually(observed.told("ADDED", "ours"))
    await eventually(observed.told("ADDED", "pod-of-ours"))
    assert {name for _, name in observed.events} == {"ours", "pod-of-ours"}


async def test_live_events_come_soon(observe, probe) -> None:
    """Printed, not asserted: a PATCH to its callback takes some milliseconds."""
    observed = await observe()
    loop = asyncio.get_running_loop()
    took = []
    for number in range(50):
        begun = loop.time()
        await probe(f"probe-{number}")
        await eventually(observed.told("ADDED", f"probe-{number}"))
        took.append(observed.times[f"probe-{number}"] - begun)
    print(f"\nPATCH sent to callback: p50 {median(took) * 1000:.1f} ms, max {max(took) * 1000:.1f} ms")


async def test_the_whole_cluster_can_be_watched(credential, probe, kube, namespace) -> None:
    await probe("old")
    observed = Observed(credential)
    await observed.begin()
    try:
        await eventually(observed.told("LISTED", "old"))
        await probe("new")
        await eventually(observed.told("ADDED", "new"))
        assert observed.watch.age_seconds < 60
    finally:
        await observed.watch.stop()


async def test_it_stops_at_once_while_others_in_the_main_loop_go_on(observe) -> None:
    """Row 2d: in a shared loop kopf would take five seconds and cancel them."""
    observed = await observe()
    bystander = asyncio.create_task(asyncio.Event().wait())
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await observed.watch.stop()
    print(f"\nstopped in {loop.time() - begun:.2f} s")
    assert not observed.watch._thread.is_alive()
    assert not bystander.done()
    bystander.cancel()


async def test_it_can_be_stopped_before_it_has_begun(credential, namespace) -> None:
    observed = Observed(credential, namespace)
    await observed.watch.stop()
    begun = Observed(credential, namespace)
    begun.watch.start()
    await begun.watch.stop()
    assert begun.watch.ended.cancelled()


async def test_a_cut_connection_is_resumed_and_nothing_is_lost(observe, probe, proxy, kube, namespace) -> None:
    await probe("gone")
    observed = await observe(proxy.credential())
    await eventually(observed.told("LISTED", "gone"))
    proxy.cut()
    await kube.delete(PROBE, namespace, "gone")
    await probe("new")
    await eventually(observed.told("DELETED", "gone"))
    await eventually(observed.told("ADDED", "new"))


async def test_an_expired_watch_is_listed_again(observe, probe, proxy) -> None:
    """410 Gone, in the stream; what is known already is not told again."""
    await probe("old")
    observed = await observe(proxy.credential())
    await eventually(observed.told("LISTED", "old"))
    lists = proxy.count("GET", "/probes")
    await proxy.inject("/probes", {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
    await eventually(lambda: proxy.count("GET", "/probes") >= lists + 2, what="a new list and a new stream")
    await probe("new")
    await eventually(lambda: ("ADDED", "new") in observed.events or ("LISTED", "new") in observed.events)
    assert observed.events.count(("LISTED", "old")) == 1


@pytest.mark.parametrize("status", [429, 500])
async def test_a_busy_server_is_asked_again(probe, proxy, observe, status: int) -> None:
    await probe("old")
    refusal = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not now", "code": status}
    fault = proxy.fail("GET", "/probes", status=status, body=refusal, headers={"Retry-After": "1"}, times=2)
    observed = await observe(proxy.credential())
    await eventually(observed.told("LISTED", "old"))
    assert fault.seen == 2


async def test_an_error_in_the_stream_ends_it_for_good(observe, proxy) -> None:
    """Row 2c: whoever runs the process lets it end, and begin again."""
    observed = await observe(proxy.credential())
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "broken", "code": 500}
    await proxy.inject("/probes", {"type": "ERROR", "object": status})
    with pytest.raises(WatchEndedError, match="broken"):
        await soon(observed.watch.ended)


async def test_a_stream_that_falls_silent_is_opened_anew(observe, probe, proxy) -> None:
    observed = await observe(proxy.credential(), inactivity_seconds=1.0)
    proxy.open.clear()
    streams = proxy.count("GET", "/probes")
    await probe("new")
    await eventually(lambda: proxy.count("GET", "/probes") > streams, what="another stream")
    proxy.open.set()
    await eventually(observed.told("ADDED", "new"))


async def test_a_slow_stream_is_read_to_its_end(observe, probe, proxy) -> None:
    observed = await observe(proxy.credential())
    proxy.trickle = True
    await probe("slow", spec={"text": "x" * 500})
    await eventually(observed.told("ADDED", "slow"))


async def test_the_age_of_a_silent_watch_grows(observe, probe, proxy) -> None:
    observed = await observe(proxy.credential())
    proxy.open.clear()
    silent = observed.watch.age_seconds
    await eventually(lambda: observed.watch.age_seconds > silent + 0.5)
    proxy.open.set()


async def test_a_lost_deletion_is_found_by_the_sentinel(observe, probe, proxy, kube, namespace) -> None:
    """Row 2b: an object goes while the watch is away for too long; the new list does not tell."""
    await probe("gone")
    await probe("stays")
    observed = await observe(proxy.credential())
    await eventually(observed.told("LISTED", "stays"))
    proxy.open.clear()
    await kube.delete(PROBE, namespace, "gone")
    lists = proxy.count("GET", "/probes")
    expired = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
    proxy.fail("GET", "/probes", status=200, body=expired, watch=True)
    proxy.cut()
    proxy.open.set()
    await eventually(lambda: proxy.count("GET", "/probes") >= lists + 3, what="a watch, a list, a watch")
    await probe("new")
    await eventually(lambda: (namespace, "new") in observed.watch.versions(PROBE))
    assert (namespace, "gone") in observed.watch.versions(PROBE)

    watch = observed.watch
    sentinel = Sentinel([PROBE], read=kube.versions, known=watch.versions, on_lost=watch.lose)
    assert (await sentinel.look(PROBE)).suspects == {(namespace, "gone"): None}
    assert ("DELETED", "gone") not in observed.events
    await sentinel.look(PROBE)
    assert ("DELETED", "gone") in observed.events
    assert not (await sentinel.look(PROBE)).suspects


async def test_a_dead_watch_is_found_by_the_sentinel(observe, probe, proxy, kube) -> None:
    observed = await observe(proxy.credential())
    sentinel = Sentinel([PROBE], read=kube.versions, known=observed.watch.versions, on_lost=observed.watch.lose)
    proxy.open.clear()
    await probe("unseen")
    await sentinel.look(PROBE)
    with pytest.raises(DeadWatchError, match="unseen"):
        await sentinel.look(PROBE)
    proxy.open.set()
