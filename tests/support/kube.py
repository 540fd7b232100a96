"""A Kubernetes cluster for tests: never the one that KUBECONFIG happens to name.

`JETMILL_TEST_KUBECONFIG` names it; without, pytest-kind makes one where Docker and kind work (or where `--kind-bin`
says what else to use). Without either the test is skipped and says the cure. Each test has a namespace of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from jetmill_operator.cluster.credential import Credential, find_credential
from jetmill_operator.cluster.errors import AbsentError
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import JOB, SCHEDULED_JOB, WEBHOOK, Body, Kind
from jetmill_operator.cluster.rest import Rest
from support.wait import eventually

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = Kind("", "v1", "Namespace", "namespaces")
DEFINITION = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
PROBE = Kind("test.jetmill.dev", "v1", "Probe", "probes")
"""A kind that nobody reconciles: what is seen of its objects is the API server's own doing."""
MANAGER = "jetmill-test"

_LIST_MAP: dict[str, Any] = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}


def _keyed(key: str) -> dict[str, Any]:
    items = {**_LIST_MAP["items"], "required": [key], "properties": {key: {"type": "string"}}}
    return {**_LIST_MAP, "x-kubernetes-list-map-keys": [key], "items": items}


PROBE_DEFINITION: Body = {
    "apiVersion": DEFINITION.api_version,
    "kind": DEFINITION.name,
    "metadata": {"name": f"{PROBE.plural}.{PROBE.group}"},
    "spec": {
        "group": PROBE.group,
        "names": {"kind": PROBE.name, "plural": PROBE.plural, "singular": "probe", "listKind": "ProbeList"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": PROBE.version,
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "x-kubernetes-preserve-unknown-fields": True,
                                "properties": {"env": _keyed("name"), "size": {"type": "integer"}},
                            },
                            "status": {
                                "type": "object",
                                "x-kubernetes-preserve-unknown-fields": True,
                                "properties": {"conditions": _keyed("type")},
                            },
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest) -> Path:
    """The kubeconfig of the cluster for tests, with our kinds installed."""
    named = os.environ.get("JETMILL_TEST_KUBECONFIG", "")
    path = Path(named) if named else _kind_kubeconfig(request)
    asyncio.run(install(path))
    return path


def _kind_kubeconfig(request: pytest.FixtureRequest) -> Path:
    option = request.config.option
    if not option.kind_bin:
        found = shutil.which("kind")
        if found is None or not _docker_works():
            pytest.skip(
                "there is no cluster for tests: set JETMILL_TEST_KUBECONFIG, or install Docker and kind (or --kind-bin)"
            )
        option.kind_bin = found
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "kind.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes the first one makes the cluster
        return Path(request.getfixturevalue("kind_cluster").kubeconfig_path)


def _docker_works() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


async def install(kubeconfig: Path) -> None:
    """Apply the kinds of `crds/` and the one that tests have, and wait until they are served."""
    definitions = [PROBE_DEFINITION]
    for file in sorted(ROOT.glob("crds/*.yaml")):
        definitions += [body for body in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader) if body]
    async with Rest(find_credential(kubeconfig=str(kubeconfig))) as rest:
        kube = KubeCluster(rest)
        for definition in definitions:
            await kube.apply(DEFINITION, definition, manager=MANAGER)
        for definition in definitions:
            await eventually(partial(_is_served, kube, definition["metadata"]["name"]), what="a kind to be served")


async def _is_served(kube: KubeCluster, name: str) -> bool:
    body = await kube.get(DEFINITION, "", name)
    conditions = body["status"].get("conditions", []) if body else []
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)


@pytest.fixture(scope="session")
def credential(kubeconfig: Path) -> Credential:
    return find_credential(kubeconfig=str(kubeconfig))


@pytest.fixture
async def rest(credential: Credential) -> AsyncIterator[Rest]:
    async with Rest(credential) as rest:
        yield rest


@pytest.fixture
async def namespace(rest: Rest) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    async with make_namespace(rest) as name:
        yield name


@contextlib.asynccontextmanager
async def make_namespace(rest: Rest) -> AsyncIterator[str]:
    """A new namespace, which goes in the end."""
    kube, name = KubeCluster(rest), f"jm-test-{secrets.token_hex(4)}"
    await kube.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield name
    finally:
        await kube.delete(NAMESPACE, "", name)
        for kind in (PROBE, JOB, SCHEDULED_JOB, WEBHOOK):
            with contextlib.suppress(AbsentError):
                await _release(kube, kind, name)


async def _release(kube: KubeCluster, kind: Kind, namespace: str) -> None:
    """Take off finalizers, for whoever would do it is gone with the test."""
    for body in await kube.list(kind, namespace=namespace):
        if body["metadata"].get("finalizers"):
            with contextlib.suppress(AbsentError):
                await kube.patch(kind, namespace, body["metadata"]["name"], {"metadata": {"finalizers": []}})


@pytest.fixture
def kube(rest: Rest, namespace: str) -> KubeCluster:
    """The cluster for tests, whose lists look into the test's own namespace."""
    return KubeCluster(rest, namespaces=(namespace,))
