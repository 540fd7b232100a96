"""The CRDs on a real API server: what kubectl shows, selects and waits for, and what cannot change."""

from __future__ import annotations

from typing import Any

import pytest

from jetmill_operator.api.condition import Backlog, Condition, JobStatus, ScalingStatus, Workers
from jetmill_operator.cluster.errors import InvalidError
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import JOB, OPERATOR, SCHEDULED_JOB
from jetmill_operator.cluster.rest import Request, Rest
from support.refusals import build_object

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
STATUS = JobStatus(
    observed_generation=1,
    conditions=[
        Condition(
            type="Ready",
            status="True",
            reason="Idle",
            message="There is nothing to do.",
            last_transition_time="2026-01-31T09:00:00Z",
            observed_generation=1,
        )
    ],
    backlog=Backlog(ready=3, in_flight=2, delayed=1),
    workers=Workers(ready=1, desired=2),
    scaling=ScalingStatus(desired=2, reason="Backlog", message="3 wait", time="2026-01-31T09:00:00Z"),
    next_retry_time="2026-01-31T09:00:00.123456Z",
)


async def create(kube: KubeCluster, namespace: str, kind: str, spec: dict[str, Any], *, name: str) -> dict[str, Any]:
    body = build_object(kind, spec, metadata={"name": name, "namespace": namespace})
    return await kube.create({"Job": JOB, "ScheduledJob": SCHEDULED_JOB}[kind], body)


def path(namespace: str, plural: str = "jobs") -> str:
    return f"/apis/jetmill.dev/v1alpha1/namespaces/{namespace}/{plural}"


async def test_a_whole_status_is_kept_as_it_was_written(kube: KubeCluster, namespace: str) -> None:
    """Nothing that the models say is unknown to the schema, which would drop it."""
    await create(kube, namespace, "Job", {}, name="mail")
    written = STATUS.model_dump(by_alias=True, exclude_none=True)
    body = build_object("Job", {}, metadata={"name": "mail", "namespace": namespace}) | {"status": written}
    del body["spec"]
    applied = await kube.apply(JOB, body, manager=OPERATOR, subresource="status")
    assert applied["status"] == written
    assert JobStatus.model_validate(applied["status"]) == STATUS
    again = await kube.apply(JOB, body, manager=OPERATOR, subresource="status")
    assert again["metadata"]["resourceVersion"] == applied["metadata"]["resourceVersion"]


@pytest.mark.field(
    "*.status.conditions.type",
    "*.status.conditions.status",
    "*.status.conditions.reason",
    "Job.status.backlog.ready",
    "Job.status.backlog.inFlight",
    "Job.status.workers.ready",
    "Job.status.workers.desired",
)
async def test_a_table_answers_whether_it_is_all_right(kube: KubeCluster, rest: Rest, namespace: str) -> None:
    await create(kube, namespace, "Job", {}, name="mail")
    status = STATUS.model_dump(by_alias=True, exclude_none=True)
    await rest.ask(
        Request("PATCH", f"{path(namespace)}/mail/status", {}, {"status": status}, "application/merge-patch+json")
    )
    table = await rest.ask(Request("GET", path(namespace), accept=TABLE))
    columns = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
    assert columns == ["Name", "Ready", "Reason", "Backlog", "In flight", "Workers", "Desired", "Age"]
    cells = dict(zip([column["name"] for column in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True))
    del cells["Age"]
    assert cells == {
        "Name": "mail",
        "Ready": "True",
        "Reason": "Idle",
        "Backlog": 3,
        "In flight": 2,
        "Delayed": 1,
        "Workers": 1,
        "Desired": 2,
        "Handler": "tasks:run",
        "Status": "There is nothing to do.",
    }


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("spec.suspend=true", ["paused"]),
        ("spec.worker.image=shop:1", ["mail", "paused"]),
        ("spec.worker.from.name=mail", ["rider"]),
    ],
)
async def test_jobs_are_selected_by_field(
    kube: KubeCluster, rest: Rest, namespace: str, selector: str, names: list[str]
) -> None:
    await create(kube, namespace, "Job", {}, name="mail")
    await create(kube, namespace, "Job", {"suspend": True}, name="paused")
    await create(kube, namespace, "Job", {"worker": {"from": {"name": "mail"}}}, name="rider")
    found = await rest.ask(Request("GET", path(namespace), {"fieldSelector": selector}))
    assert sorted(body["metadata"]["name"] for body in found["items"]) == names


@pytest.mark.field("ScheduledJob.spec.jobRef.name")
async def test_a_schedule_stays_with_its_job_whatever_way_is_tried(kube: KubeCluster, namespace: str) -> None:
    """A rule on the field itself is passed by taking the field away, then giving it another value."""
    await create(kube, namespace, "ScheduledJob", {}, name="daily")
    for patch in ({"jobRef": {"name": "another"}}, {"jobRef": None}, {"jobRef": {"name": None}}):
        with pytest.raises(InvalidError):
            await kube.patch(SCHEDULED_JOB, namespace, "daily", {"spec": patch})
    await kube.patch(SCHEDULED_JOB, namespace, "daily", {"metadata": {"labels": {"team": "shop"}}})


async def test_a_job_may_move_from_an_image_to_another_jobs_workers_and_back(kube: KubeCluster, namespace: str) -> None:
    """Nothing of a stream's identity stands in a Job's spec: its name and namespace are all."""
    await create(kube, namespace, "Job", {"worker": {"image": "shop:1", "concurrency": 3}}, name="mail")
    riding = {"handler": None, "command": ["ls"], "worker": {"image": None, "from": {"name": "other"}}}
    job = await kube.patch(JOB, namespace, "mail", {"spec": riding})
    assert job["spec"]["worker"] == {"concurrency": 3, "from": {"name": "other"}}
    with pytest.raises(InvalidError, match="exactly one of worker"):
        await kube.patch(JOB, namespace, "mail", {"spec": {"worker": {"image": "shop:2"}}})
    await kube.patch(JOB, namespace, "mail", {"spec": {"worker": {"image": "shop:2", "from": None}}})
