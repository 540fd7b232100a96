"""The API server of the cluster for tests is killed and comes back.

Only where there is a tool for it: `JETMILL_CLUSTER` names a folder whose `cluster` has `kill PART` and `start PART`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jetmill_operator.cluster.credential import Credential
from jetmill_operator.cluster.errors import AbsentError, UnavailableError
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import Body, EventType, Kind
from jetmill_operator.cluster.rest import Rest
from jetmill_operator.reconcile.watch import Watch, Watched
from support.kube import MANAGER, PROBE
from support.wait import eventually, soon

pytestmark = pytest.mark.disruptive
PART = "kube-apiserver"


@pytest.fixture
def tool() -> Callable[[str], None]:
    """Kill the API server, or start it."""
    folder = os.environ.get("JETMILL_CLUSTER", "")
    if not folder:
        pytest.skip("set JETMILL_CLUSTER to the folder of a `cluster` that can kill and start the API server")

    def run(verb: str) -> None:
        subprocess.run([str(Path(folder) / "cluster"), verb, PART], check=True, capture_output=True)

    return run


async def test_a_killed_api_server_is_waited_for(tool, credential: Credential, namespace: str) -> None:
    """Row 2b: the watch lives, writes are tried again, and everything goes on by itself."""
    told: list[tuple[EventType, str]] = []

    def note(_kind: Kind, event: EventType, body: Body) -> None:
        told.append((event, body["metadata"]["name"]))

    def make(name: str) -> Body:
        head = {"name": name, "namespace": namespace}
        return {"apiVersion": PROBE.api_version, "kind": PROBE.name, "metadata": head}

    watch = Watch(credential, note, namespaces=(namespace,), watched=[Watched(PROBE)])
    watch.start()
    loop = asyncio.get_running_loop()
    async with Rest(credential, patience_seconds=60) as patient, Rest(credential, patience_seconds=0.2) as hasty:
        kube = KubeCluster(patient)
        try:
            await kube.apply(PROBE, make("before"), manager=MANAGER)
            await eventually(lambda: ("ADDED", "before") in told or ("LISTED", "before") in told)
            tool("kill")
            try:
                with pytest.raises(UnavailableError):
                    await KubeCluster(hasty).get(PROBE, namespace, "before")
                writing = asyncio.create_task(kube.apply(PROBE, make("meanwhile"), manager=MANAGER))
            finally:
                tool("start")
            started = loop.time()
            await _until_answered(writing, kube, make("meanwhile"))
            print(f"\nthe write that was under way was answered {loop.time() - started:.1f} s after the start")
            await eventually(lambda: any(name == "meanwhile" for _, name in told), seconds=240, what="the watch")
            print(f"the watch told of it {loop.time() - started:.1f} s after the start")
            assert not watch.ended.done()
        finally:
            await watch.stop()


async def _until_answered(writing: asyncio.Task[Body], kube: KubeCluster, body: Body) -> None:
    """A server that has just begun knows its own kinds before ours: to it they are not there."""
    try:
        await soon(writing, seconds=240)
    except AbsentError:

        async def is_written() -> bool:
            try:
                return bool(await kube.apply(PROBE, body, manager=MANAGER))
            except AbsentError:
                return False

        await eventually(is_written, seconds=240)
