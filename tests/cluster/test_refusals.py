"""A real API server refuses what the table says (tests/support/refusals.yaml), and takes every example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from jetmill_operator.cluster.errors import InvalidError
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import JOB, SCHEDULED_JOB, WEBHOOK, Kind
from support.refusals import LEAST, Case, build_object, read_cases

ROOT = Path(__file__).parents[2]
KINDS: dict[str, Kind] = {kind.name: kind for kind in (JOB, SCHEDULED_JOB, WEBHOOK)}
CASES = read_cases()
MANAGER = "jetmill-test"


async def try_apply(kube: KubeCluster, body: dict[str, Any], namespace: str, *, dry_run: bool = True) -> dict[str, Any]:
    """Apply an object as `kubectl apply --server-side --dry-run=server --validate=strict` does."""
    placed = {**body, "metadata": {**body["metadata"], "namespace": namespace}}
    return await kube.apply(KINDS[body["kind"]], placed, manager=MANAGER, dry_run=dry_run)


@pytest.mark.parametrize("case", [case for case in CASES if case.only != "models"], ids=lambda case: case.name)
async def test_a_refusal_names_the_field_and_the_cure(case: Case, kube: KubeCluster, namespace: str) -> None:
    if case.before is not None:
        await try_apply(kube, build_object(case.kind, case.before), namespace, dry_run=False)
    with pytest.raises(InvalidError) as caught:
        await try_apply(kube, case.build_object(), namespace)
    said = f"{caught.value.field} {caught.value.message}"
    assert (case.field if case.at is None else case.at) in said
    assert (case.says if case.server is None else case.server) in said


@pytest.mark.parametrize("case", [case for case in CASES if case.only == "models"], ids=lambda case: case.name)
async def test_what_only_the_models_can_refuse_passes_a_server(case: Case, kube: KubeCluster, namespace: str) -> None:
    await try_apply(kube, case.build_object(), namespace)


@pytest.mark.parametrize("kind", LEAST)
async def test_the_least_spec_of_each_kind_is_accepted(kind: str, kube: KubeCluster, namespace: str) -> None:
    await try_apply(kube, build_object(kind, {}), namespace)


async def test_the_examples_for_a_cluster_are_accepted(kube: KubeCluster, namespace: str) -> None:
    accepted = 0
    for file in sorted(ROOT.glob("examples/*/jobs.yaml")):
        for body in yaml.safe_load_all(file.read_text()):
            # the other Jobs are for a laptop only, and a Secret is Kubernetes' own
            if body["kind"] in ("ScheduledJob", "Webhook") or "image" in body.get("spec", {}).get("worker", {}):
                await try_apply(kube, body, namespace)
                accepted += 1
    assert accepted >= 6


async def test_defaults_are_filled_in_and_nothing_else(kube: KubeCluster, namespace: str) -> None:
    given = {"scaling": {"maxReplicas": 3}, "retention": {"failedSeconds": 5}}
    job = await try_apply(kube, build_object("Job", given), namespace, dry_run=False)
    assert job["spec"] == {
        "handler": "tasks:run",
        "worker": {"image": "shop:1"},
        "leaseSeconds": 30,
        "payload": {"maxBytes": 1_048_576},
        "retention": {"succeededSeconds": 86_400, "failedSeconds": 5},
        "scaling": {"minReplicas": 0, "maxReplicas": 3, "targetDrainSeconds": 30, "cooldownSeconds": 60},
        "suspend": False,
        "deletionPolicy": "Retain",
    }


@pytest.mark.field("*.status.observedGeneration")
@pytest.mark.parametrize("kind", LEAST)
async def test_an_object_that_nobody_observed_yet_is_not_current(kind: str, kube: KubeCluster, namespace: str) -> None:
    created = await try_apply(kube, build_object(kind, {}), namespace, dry_run=False)
    assert created["status"] == {"observedGeneration": -1}
    assert created["metadata"]["generation"] == 1
