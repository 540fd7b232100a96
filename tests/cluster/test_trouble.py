"""Workers that cannot run, on the cluster's own controllers and nodes: the Job says why, and what to do about it."""

from __future__ import annotations

import pytest

from jetmill_operator.cluster.ports import POD, SECRET, SERVICE_ACCOUNT, Body, Kind
from jetmill_operator.policy.reason import Reason
from support.operating import Start
from support.person import CHILD, Person
from support.wait import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
NAMESPACE = Kind("", "v1", "Namespace", "namespaces")
ONE = {"minReplicas": 1, "maxReplicas": 1}
IMAGE = "busybox:1.35"
"""Small, and where clusters for tests have it."""
PATIENCE_SECONDS = 180.0


async def said_of(person: Person, reason: Reason) -> str:
    """Wait until the Job is not ready for that reason; give what it says."""

    async def look() -> str:
        conditions = await person.read_conditions()
        ready, workers = conditions.get("Ready", {}), conditions.get("WorkersAvailable", {})
        there = (ready.get("status"), ready.get("reason"), workers.get("reason")) == ("False", reason, reason)
        return str(ready["message"]) if there else ""

    try:
        found: str = await eventually(look, seconds=PATIENCE_SECONDS, what=f"{reason} to be said")
    except AssertionError as err:
        raise AssertionError(f"{err}; {await person.read_conditions()}") from err
    print(f"\n{reason}: {found}")
    return found


async def test_a_missing_secret_is_named(start: Start, person: Person) -> None:
    """… and made good as soon as it is there: the kubelet looks again by itself."""
    await start()
    reference = {"secretKeyRef": {"name": "smtp", "key": "password"}}
    worker = {"image": IMAGE, "imagePullPolicy": "IfNotPresent", "env": [{"name": "P", "valueFrom": reference}]}
    await person.declare(worker=worker, scaling=ONE)
    said = await said_of(person, Reason.REFERENCE_MISSING)
    assert 'secret "smtp" not found' in said
    assert "create it, or mark it optional" in said
    await person.make(SECRET, "smtp", stringData={"user": "x"})
    await eventually(lambda: _says(person, "couldn't find key password"), seconds=PATIENCE_SECONDS)
    assert (await said_of(person, Reason.REFERENCE_MISSING)).count("smtp") == 1


async def _says(person: Person, text: str) -> bool:
    return text in (await person.read_conditions()).get("Ready", {}).get("message", "")


async def test_an_image_that_cannot_be_pulled_is_named(start: Start, person: Person) -> None:
    await start()
    image = "registry.invalid/shop:1"
    await person.declare(worker={"image": image}, scaling=ONE)
    said = await said_of(person, Reason.IMAGE_PULL_FAILED)
    assert image in said
    assert "worker.imagePullSecrets" in said


async def test_a_quota_that_leaves_no_room_is_named(start: Start, person: Person) -> None:
    await person.make(QUOTA, "small", spec={"hard": {"pods": "0"}})
    await start()
    await person.declare(scaling=ONE)
    said = await said_of(person, Reason.QUOTA_EXCEEDED)
    assert "exceeded quota: small" in said
    assert "raise the quota" in said


async def test_a_missing_service_account_is_named_and_missed_no_more_once_it_is_there(
    start: Start, person: Person
) -> None:
    await start()
    worker = {"image": "shop:1", "serviceAccountName": "mailer", "nodeSelector": {"no": "where"}}
    await person.declare(worker=worker, scaling=ONE)
    said = await said_of(person, Reason.SERVICE_ACCOUNT_MISSING)
    assert "mailer" in said
    assert "create it" in said
    await person.make(SERVICE_ACCOUNT, "mailer")
    await said_of(person, Reason.UNSCHEDULABLE)


async def test_workers_that_no_node_takes_are_explained(start: Start, person: Person) -> None:
    await start()
    worker = {"image": "shop:1", "resources": {"requests": {"cpu": "900"}}}
    await person.declare(worker=worker, scaling=ONE)
    said = await said_of(person, Reason.UNSCHEDULABLE)
    assert "Insufficient cpu" in said
    assert "lower worker.resources" in said
    await person.declare(worker={"image": "shop:1", "nodeSelector": {"no": "where"}}, scaling=ONE)
    await eventually(lambda: _says(person, "node affinity/selector"), seconds=PATIENCE_SECONDS)


async def test_pods_that_the_namespace_forbids_are_explained(start: Start, person: Person) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await person.kube.patch(NAMESPACE, "", person.namespace, label)
    await start()
    rooted: Body = {"spec": {"hostNetwork": True}}
    await person.declare(worker={"image": "shop:1", "podTemplate": rooted}, scaling=ONE)
    said = await said_of(person, Reason.POD_FORBIDDEN)
    assert "hostNetwork" in said
    assert "podTemplate" in said


async def test_without_trouble_the_pods_are_restricted_enough_for_any_namespace(start: Start, person: Person) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await person.kube.patch(NAMESPACE, "", person.namespace, label)
    await start()
    await person.declare(worker={"image": "shop:1", "nodeSelector": {"no": "where"}}, scaling=ONE)
    pods = await eventually(lambda: person.kube.list(POD), seconds=180, what="a pod to be let in")
    assert pods[0]["metadata"]["name"].startswith(CHILD)


async def test_an_image_without_jetmill_is_told_from_others(start: Start, person: Person) -> None:
    await start()
    podded: Body = {"spec": {"securityContext": {"runAsUser": 1000}}}
    await person.declare(worker={"image": IMAGE, "imagePullPolicy": "IfNotPresent", "podTemplate": podded}, scaling=ONE)
    said = await said_of(person, Reason.START_FAILED)
    assert "needs the command `jetmill`" in said
