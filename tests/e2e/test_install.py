"""A release from its first minute: in this order, each test on what the one before left. test_upgrade has its last."""

from __future__ import annotations

import json
from typing import Any

from support.release import TAG, Release, names, run_cli
from support.wait import eventually

JOBS = ("send-email", "charge-card", "sales-report")
POD_ENQUEUES = """
import asyncio, json
from jetmill import Client

async def main():
    async with Client() as client:
        calls = [{"to": f"{number}@example.com", "subject": "hello"} for number in range(40)]
        handles = [await client.enqueue("send-email", call) for call in calls]
        print(json.dumps([await handle.result(timeout=240) for handle in handles]))

asyncio.run(main())
"""


def workers(release: Release) -> dict[str, int]:
    """Replicas that each Job's Deployment asks for."""
    found = release.get("deployments", "-l", "app.kubernetes.io/name=jetmill-worker")
    return {one["metadata"]["labels"]["jetmill.dev/job"]: one["spec"]["replicas"] for one in found}


def test_pods_are_ready_and_nothing_was_forbidden(release: Release) -> None:
    pods = release.get("pods", namespace=release.home)
    assert len(pods) == 4, "the operator with its gateway, NATS, and two dispatchers"
    log = release.kubectl("logs", f"deployment/{release.name}-operator", namespace=release.home)
    assert "operator_leading" in log
    assert "forbidden" not in log.lower()
    dispatchers = release.kubectl("logs", "--selector=app.kubernetes.io/component=dispatcher", namespace=release.home)
    assert "dispatcher_started" in dispatchers
    assert "forbidden" not in dispatchers.lower()
    assert "denied" not in dispatchers.lower()


async def test_the_charts_own_test_runs_a_real_job_and_leaves_nothing(release: Release) -> None:
    kinds = "jobs.jetmill.dev,pods,roles,rolebindings"
    before = names(release.get(kinds))
    assert "Phase:          Succeeded" in release.helm("test", release.name)
    await eventually(lambda: names(release.get(kinds)) == before, seconds=300, every_seconds=0.5, what="all to be gone")


def test_jobs_become_ready_without_a_pod(release: Release) -> None:
    release.open_shop()
    assert workers(release) == dict.fromkeys(JOBS, 0)
    assert release.get("pods") == []


def test_what_an_application_in_a_pod_enqueues_is_done(release: Release) -> None:
    container = {
        "name": "application",
        "image": f"jetmill/worker:{TAG}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", POD_ENQUEUES],
        "envFrom": [{"secretRef": {"name": f"{release.name}-nats-producer"}}],
    }
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "application"},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    release.kubectl("apply", "-f", "-", text=json.dumps(body))
    release.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/application", "--timeout=300s")
    results = json.loads(release.kubectl("logs", "application"))
    assert results == [f"orders@shop.example -> {number}@example.com: hello" for number in range(40)]
    release.kubectl("delete", "pod", "application")


def test_what_a_person_enqueues_through_a_forwarded_port_is_done(release: Release) -> None:
    with release.forwarded() as environ:
        shown = run_cli(
            environ, "job", "run", "charge-card", "--payload", '{"order": 3, "amount": 9.5}', "--wait", "-o", "json"
        )
        assert '"attempts": 3' in shown
        report = run_cli(environ, "job", "run", "sales-report", "--payload", '{"orders": 1000}', "--wait", "-o", "json")
        assert "median" in report
        run_cli(environ, "verify")


async def test_workers_go_back_to_zero(release: Release) -> None:
    await eventually(
        lambda: workers(release) == dict.fromkeys(JOBS, 0) and release.get("pods") == [],
        seconds=300,
        every_seconds=0.5,
        what="no worker to be left",
    )
    ready = [one["status"]["conditions"] for one in release.get("jobs.jetmill.dev")]
    assert all(("Ready", "True") in {(one["type"], one["status"]) for one in conditions} for conditions in ready)
