"""KubeCluster through a proxy that fails, and with credentials of every kind."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jetmill_operator.cluster.credential import Credential, find_credential
from jetmill_operator.cluster.errors import AbsentError, ForbiddenError, InvalidError, NotLeaderError, UnavailableError
from jetmill_operator.cluster.fence import FencedCluster
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import LEASE, SERVICE_ACCOUNT, Body, Kind, path_of
from jetmill_operator.cluster.rest import WRITERS, Request, Rest
from support.faultproxy import FaultProxy
from support.kube import MANAGER, PROBE
from support.nats import find_free_port
from support.wait import eventually, soon

BUSY = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not now"}


@pytest.fixture
async def through(proxy: FaultProxy, namespace: str) -> AsyncIterator[KubeCluster]:
    """The cluster, seen through the proxy."""
    async with Rest(proxy.credential(), patience_seconds=60) as rest:
        yield KubeCluster(rest, namespaces=(namespace,))


def make(namespace: str, name: str = "one", **parts: Any) -> Body:
    head = {"name": name, "namespace": namespace}
    return {"apiVersion": PROBE.api_version, "kind": PROBE.name, "metadata": head, **parts}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_busy_server_is_asked_again(through, proxy, namespace, status: int) -> None:
    fault = proxy.fail("PATCH", "/probes", status=status, body=BUSY, times=2)
    body = await through.apply(PROBE, make(namespace, spec={"size": 1}), manager=MANAGER)
    assert body["spec"] == {"size": 1}
    assert fault.seen == 2


async def test_a_server_that_says_when_is_not_asked_before(through, proxy, namespace) -> None:
    proxy.fail("GET", "/probes", status=429, body=BUSY, headers={"Retry-After": "1"})
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert await through.list(PROBE) == []
    assert loop.time() - begun >= 1


async def test_patience_has_an_end(proxy, namespace) -> None:
    proxy.fail("GET", "/probes", status=503, body=BUSY, headers={"Retry-After": "7"}, times=100)
    async with Rest(proxy.credential(), patience_seconds=1) as rest:
        with pytest.raises(UnavailableError, match="not now") as caught:
            await soon(KubeCluster(rest).get(PROBE, namespace, "one"))
    assert (caught.value.code, caught.value.retry_after_seconds) == (503, 7)


async def test_a_lost_connection_is_no_loss(through, proxy, namespace) -> None:
    """Nor is an answer that was lost: the same apply again writes nothing."""
    proxy.fail("PATCH", "/probes", times=1)
    proxy.fail("PATCH", "/probes", times=1, pass_on=True)
    body = await through.apply(PROBE, make(namespace), manager=MANAGER)
    assert body["metadata"]["generation"] == 1
    assert proxy.count("PATCH", "/probes") == 3


async def test_a_creation_whose_answer_is_lost_is_not_repeated(through, proxy, namespace) -> None:
    proxy.fail("POST", "/probes", pass_on=True)
    with pytest.raises(UnavailableError):
        await through.create(PROBE, make(namespace))
    assert proxy.count("POST", "/probes") == 1
    assert await through.get(PROBE, namespace, "one") is not None


async def test_a_server_that_is_away_is_said_to_be(tmp_path: Path, namespace) -> None:
    nowhere = write_kubeconfig(tmp_path, {"server": f"http://127.0.0.1:{find_free_port()}"}, {})
    async with Rest(nowhere, patience_seconds=0.5) as rest:
        with pytest.raises(UnavailableError, match="no connection"):
            await soon(KubeCluster(rest).get(PROBE, namespace, "one"))


async def test_a_list_that_expires_between_its_pages_is_begun_again(through, proxy, namespace) -> None:
    await through.apply(PROBE, make(namespace), manager=MANAGER)
    fault = proxy.fail("GET", "/probes", status=410, body={**BUSY, "code": 410, "reason": "Expired"}, times=2)
    assert len(await through.list(PROBE)) == 1
    assert fault.seen == 2


async def test_a_401_reads_the_credentials_anew(through, proxy, namespace) -> None:
    proxy.fail("GET", "/probes", status=401, body={**BUSY, "code": 401, "message": "Unauthorized"})
    assert await through.list(PROBE) == []
    proxy.fail("GET", "/probes", status=401, body={**BUSY, "code": 401, "message": "Unauthorized"}, times=2)
    with pytest.raises(ForbiddenError, match="log in again"):
        await through.list(PROBE)


async def test_versions_are_those_of_the_objects(kube, namespace) -> None:
    body = await kube.apply(PROBE, make(namespace), manager=MANAGER)
    assert await kube.versions(PROBE) == {(namespace, "one"): body["metadata"]["resourceVersion"]}
    assert await kube.versions(PROBE, labels={"no": "such"}) == {}


async def test_a_field_that_the_schema_does_not_know_is_refused_for_ever(kube, namespace) -> None:
    with pytest.raises(InvalidError, match="more") as caught:
        await kube.apply(PROBE, make(namespace, more={"than": "known"}), manager=MANAGER)
    assert not caught.value.retryable


async def test_a_kind_that_is_not_served_is_not_an_object_that_is_gone(kube, namespace) -> None:
    """A server that has just begun does not know our kinds yet: taking that for deletions would be the end of all."""
    for kind in (Kind("test.jetmill.dev", "v1", "Other", "others"), Kind("nosuch.jetmill.dev", "v1", "One", "ones")):
        for asked in (
            kube.get(kind, namespace, "one"),
            kube.list(kind),
            kube.versions(kind),
            kube.owners(kind, namespace, "one", ".spec"),
            kube.delete(kind, namespace, "one"),
        ):
            with pytest.raises(AbsentError) as caught:
                await asked
            assert caught.value.unserved


async def test_an_invalid_value_names_its_field(kube, namespace) -> None:
    with pytest.raises(InvalidError) as caught:
        await kube.apply(PROBE, make(namespace, spec={"size": "big"}), manager=MANAGER)
    assert caught.value.field == "spec.size"


async def test_at_most_four_writes_are_under_way_and_a_lease_does_not_queue_behind_them(
    through, proxy, namespace
) -> None:
    head = {"name": "one", "namespace": namespace}
    await through.create(LEASE, {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": head})
    fault = proxy.fail("PATCH", "/probes", hangs=True, times=100)
    writes = [
        asyncio.create_task(through.apply(PROBE, make(namespace, f"probe-{number}"), manager=MANAGER))
        for number in range(WRITERS * 3)
    ]
    await eventually(lambda: fault.seen == WRITERS)
    for _ in range(10):
        assert await through.list(PROBE) == []  # reads pass
    assert fault.seen == WRITERS
    await soon(through.patch(LEASE, namespace, "one", {"spec": {"holderIdentity": "one"}}))
    for write in writes:
        write.cancel()
    await asyncio.gather(*writes, return_exceptions=True)


class Lapsing:
    """A fence that stands after so many requests."""

    def __init__(self, proxy: FaultProxy, *, after: int, seconds: float = 10.0) -> None:
        self.proxy = proxy
        self.after = after
        self.seconds = seconds

    def require(self) -> float:
        if self.proxy.count("PATCH", "/probes") >= self.after:
            raise NotLeaderError("lapsed")
        return self.seconds


async def test_a_fence_is_asked_before_each_attempt(through, proxy, namespace) -> None:
    proxy.fail("PATCH", "/probes", status=503, body=BUSY, times=100)
    fenced = FencedCluster(through, Lapsing(proxy, after=2))
    with pytest.raises(NotLeaderError):
        await fenced.apply(PROBE, make(namespace), manager=MANAGER)
    assert proxy.count("PATCH", "/probes") == 2


async def test_no_attempt_outlasts_its_fence(through, proxy, namespace) -> None:
    proxy.fail("PATCH", "/probes", hangs=True, times=100)
    fenced = FencedCluster(through, Lapsing(proxy, after=1, seconds=0.2))
    with pytest.raises(NotLeaderError):
        await soon(fenced.apply(PROBE, make(namespace), manager=MANAGER))
    assert proxy.count("PATCH", "/probes") == 1


# -- credentials


@pytest.fixture
async def token(rest: Rest, kube: KubeCluster, namespace: str) -> str:
    """The token of a service account that may do nothing."""
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": namespace}}
    await kube.create(SERVICE_ACCOUNT, body)
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    path = path_of(SERVICE_ACCOUNT, namespace, "nobody", "token")
    return str((await rest.ask(Request("POST", path, {}, wanted)))["status"]["token"])


def write_kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Credential:
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
    path.write_text(json.dumps(config))
    return find_credential(kubeconfig=str(path))


def like(credential: Credential) -> dict[str, Any]:
    return {"server": credential.access.server, "certificate-authority": credential.access.ca_file}


async def test_who_may_not_is_told_so(tmp_path: Path, credential, token, namespace) -> None:
    async with Rest(write_kubeconfig(tmp_path, like(credential), {"token": token})) as rest:
        with pytest.raises(ForbiddenError, match="nobody") as caught:
            await KubeCluster(rest).get(PROBE, namespace, "one")
    assert caught.value.code == 403
    assert not caught.value.terminating


async def test_a_token_in_a_file_is_read_again_when_it_is_not_accepted(
    tmp_path: Path, credential, token, namespace
) -> None:
    file = tmp_path / "token"
    file.write_text("stale")
    async with Rest(write_kubeconfig(tmp_path, like(credential), {"tokenFile": str(file)})) as rest:
        file.write_text(token)
        with pytest.raises(ForbiddenError, match="nobody"):
            await KubeCluster(rest).get(PROBE, namespace, "one")


async def test_a_plugin_is_run_for_its_token(tmp_path: Path, credential, token, namespace) -> None:
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!{sys.executable}\nprint({json.dumps(json.dumps(answer))})\n")
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    user = {
        "exec": {
            "apiVersion": answer["apiVersion"],
            "command": str(plugin),
            "interactiveMode": "Never",
        }
    }
    async with Rest(write_kubeconfig(tmp_path, like(credential), user)) as rest:
        with pytest.raises(ForbiddenError, match="nobody"):
            await KubeCluster(rest).get(PROBE, namespace, "one")
