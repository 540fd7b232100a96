"""What jobs stand on, other than one server of the chart's own: three of them, and a NATS that was there before.

Each has a release of its own, gone again before the other tests install theirs: in the soak only, for its time.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from e2e.yard import Yard, assert_untouched
from jetmill.client.submission import Item
from jetmill.errors import BusError, JetmillError
from jetmill.protocol.state import State
from support.release import Release, run_cli

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]
PASSWORD = secrets.token_hex(12)
CONFIGURATION = f"""
jetstream {{ store_dir: /data }}
authorization {{ user: jetmill, password: "{PASSWORD}" }}
"""


@pytest.fixture
def apart(kubeconfig: Path, tmp_path: Path) -> Iterator[Release]:
    """A release that is not installed yet, and watches its own namespace only; what it leaves goes with the test."""
    release = Release(kubeconfig, tmp_path, home=f"jm-apart-{secrets.token_hex(3)}")
    for namespace in (release.home, release.shop):
        release.kubectl("create", "namespace", namespace)
    try:
        yield release
    finally:
        if release.name in release.helm("list", "--short"):
            release.helm("uninstall", release.name)
        release.kubectl("delete", "namespace", release.home, release.shop, "--wait=false")


async def test_three_servers_lose_nothing_when_one_after_the_other_dies(apart: Release) -> None:
    apart.install(watchNamespaces=[apart.shop], nats={"replicas": 3, "persistence": {"size": "1Gi"}})
    with apart.forwarded() as environ:
        async with Yard(apart, environ) as yard:
            job = await yard.declare(worker={"concurrency": 10}, scaling={"minReplicas": 1, "maxReplicas": 2})
            await yard.enqueue(job, *[{"seconds": 2.0} for _ in range(60)])
            for number in range(3):
                await yard.running(yard.accepted, 1)
                pod = f"{apart.name}-nats-{number}"
                await yard.kubectl("delete", "pod", pod, "--grace-period=1", namespace=apart.home)
                rollout = ("rollout", "status", f"statefulset/{apart.name}-nats", "--timeout=120s")
                await yard.kubectl(*rollout, namespace=apart.home)
                more = [secrets.token_hex(12) for _ in range(20)]
                await yard.until(partial(enqueue, yard, job, more), what="an enqueue to be taken")
                yard.accepted += more
            chains = await yard.reckon()
            assert {chain.state for chain in chains} == {State.SUCCEEDED}
            assert len(chains) == 120
            assert {chain.attempt for chain in chains} == {1}


async def enqueue(yard: Yard, job: str, ids: list[str]) -> bool:
    """Enqueue jobs under these ids, as often as it takes: the same id again is the same job."""
    items = [Item({"seconds": 6.0}, id=job_id) for job_id in ids]
    try:
        answers = await yard.client.enqueue_many(job, items)
    except BusError:
        return False  # the server that the port leads to has just gone
    return not any(isinstance(answer, JetmillError) for answer in answers)


async def test_a_nats_that_was_there_before_serves_as_well(apart: Release) -> None:
    start_nats(apart)
    url = f"nats://our-nats.{apart.home}.svc:4222"
    login = {"user": "jetmill", "password": PASSWORD, "inboxPrefix": "_INBOX"}
    environment = {
        **login,
        "JETMILL_NATS_URL": url,
        "JETMILL_NATS_USER": "jetmill",
        "JETMILL_NATS_PASSWORD": PASSWORD,
        "JETMILL_NATS_INBOX_PREFIX": "_INBOX",
        "JETMILL_NAMESPACE": apart.shop,
    }
    for name, data in (("our-nats", login), ("our-producer", environment)):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
        apart.kubectl("apply", "-f", "-", text=json.dumps(secret), namespace=apart.home)
    existing = {"existingSecret": "our-nats"}
    apart.install(
        watchNamespaces=[apart.shop],
        namespaces=[{"name": apart.shop, "worker": existing, "producer": {"existingSecret": "our-producer"}}],
        nats={"enabled": False, "url": url, **existing},
    )
    with apart.forwarded("our-nats") as environ:
        async with Yard(apart, environ) as yard:
            job = await yard.declare(worker={"concurrency": 10})
            await yard.enqueue(job, *[{"seconds": 0.2} for _ in range(40)])
            assert_untouched(await yard.reckon())
        run_cli(environ, "stats")
    assert "Phase:          Succeeded" in apart.helm("test", apart.name)


def start_nats(release: Release) -> None:
    """One server with a user and a password, as anybody might have it."""
    container = {
        "name": "nats",
        "image": "nats:2.15-alpine",
        "imagePullPolicy": "IfNotPresent",
        "args": ["-c", "/etc/our-nats/nats.conf"],
        "ports": [{"containerPort": 4222}],
        "readinessProbe": {"tcpSocket": {"port": 4222}, "periodSeconds": 1},
        "volumeMounts": [{"name": "conf", "mountPath": "/etc/our-nats"}, {"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "conf", "configMap": {"name": "our-nats"}}, {"name": "data", "emptyDir": {}}]
    metadata = {"name": "our-nats", "labels": {"app": "our-nats"}}
    bodies: list[dict[str, Any]] = [
        {"kind": "ConfigMap", "metadata": metadata, "data": {"nats.conf": CONFIGURATION}},
        {"kind": "Pod", "metadata": metadata, "spec": {"containers": [container], "volumes": volumes}},
        {
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": metadata["labels"], "ports": [{"port": 4222}]},
        },
    ]
    items = [{"apiVersion": "v1", **body} for body in bodies]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    release.kubectl("apply", "-f", "-", text=listed, namespace=release.home)
    release.kubectl("wait", "--for=condition=Ready", "pod/our-nats", "--timeout=60s", namespace=release.home)
