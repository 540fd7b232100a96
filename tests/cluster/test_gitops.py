"""What GitOps tools do all day: apply the same again, and what is theirs on objects that are ours. Nobody fights."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from jetmill_operator.cluster.ports import BUDGET, DEPLOYMENT, JOB, SERVICE_ACCOUNT, Body
from jetmill_operator.resources.label import name_child
from support.operating import OperatorProcess, Start
from support.person import CHILD, JOB_NAME, Person
from support.release import find_tool
from support.wait import eventually

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "jobs.yaml"
Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(kubeconfig: Path, namespace: str) -> Kubectl:
    """Run kubectl in the test's namespace; gives what it prints."""
    words = [find_tool("kubectl"), "--kubeconfig", str(kubeconfig), "--namespace", namespace]

    def run(*arguments: str) -> str:
        done = subprocess.run([*words, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


async def settle(process: OperatorProcess, person: Person) -> dict[str, str]:
    """Wait until the operator has seen all that happened before, and give the version of every object."""
    await person.declare("canary", timeoutSeconds=person.count())
    await person.observed("canary")
    before: dict[str, str] = {}

    async def is_still() -> bool:
        nonlocal before
        earlier, before = before, await read_versions(person)
        await asyncio.sleep(1)
        idle = process.measure("jetmill_workqueue_depth") + process.measure("jetmill_workqueue_running") == 0
        return idle and before == earlier

    await eventually(is_still, seconds=180, what="nothing to be written any more")
    return before


async def read_versions(person: Person) -> dict[str, str]:
    return {
        f"{kind.name} {body['metadata']['name']}": body["metadata"]["resourceVersion"]
        for kind in (JOB, DEPLOYMENT, SERVICE_ACCOUNT, BUDGET)
        for body in await person.kube.list(kind)
        if not body["metadata"]["name"].startswith("canary")
    }


async def test_the_example_applied_twice_is_unchanged(start: Start, person: Person, kubectl: Kubectl) -> None:
    process = await start()
    first = kubectl("apply", "-f", str(SHOP)).splitlines()
    assert all(line.endswith(" created") for line in first)
    names = [line.split()[0].partition("/")[2] for line in first]
    for name in names:
        await person.sees("Ready", "True ScaledToZero", name)
    before = await settle(process, person)
    again = kubectl("apply", "-f", str(SHOP)).splitlines()
    assert again == [f"job.jetmill.dev/{name} unchanged" for name in names]
    kubectl("diff", "-f", str(SHOP))
    assert await settle(process, person) == before


async def test_server_side_apply_by_another_manager_does_not_fight_with_ours(
    start: Start, person: Person, kubectl: Kubectl, tmp_path: Path
) -> None:
    """As Argo CD syncs: the same manifests with labels of its own, over what kubectl applied, again and again."""
    process = await start()
    kubectl("apply", "-f", str(SHOP))
    tracked = tmp_path / "tracked.yaml"
    bodies = list(yaml.safe_load_all(SHOP.read_text()))
    for body in bodies:
        body["metadata"]["labels"] = {"app.kubernetes.io/instance": "shop"}
        body["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "shop:jetmill.dev/Job"}
    tracked.write_text(yaml.safe_dump_all(bodies))
    sync = ("apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", str(tracked))
    kubectl(*sync)
    before = await settle(process, person)
    for _ in range(3):
        kubectl(*sync)
    assert await settle(process, person) == before
    for body in await person.kube.list(JOB):
        name = body["metadata"]["name"]
        if name == "canary":
            continue
        assert body["metadata"]["labels"]["app.kubernetes.io/instance"] == "shop"
        deployment = await person.get(DEPLOYMENT, name_child(name))
        assert deployment is not None
        assert "app.kubernetes.io/instance" not in deployment["metadata"]["labels"]


async def test_what_others_add_to_the_workers_survives_every_change_of_ours(
    start: Start, person: Person, kubectl: Kubectl
) -> None:
    """A sidecar, a variable, a label: an injector's, or a person's."""
    process = await start()
    await person.declare()
    await person.sees("Ready", "True ScaledToZero")
    addition = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": CHILD, "namespace": person.namespace, "labels": {"team": "shop"}},
        "spec": {
            "template": {
                "metadata": {"annotations": {"linkerd.io/inject": "enabled"}},
                "spec": {
                    "containers": [
                        {"name": "sidecar", "image": "proxy:1"},
                        {"name": "worker", "env": [{"name": "REGION", "value": "eu"}]},
                    ]
                },
            }
        },
    }
    await person.kube.apply(DEPLOYMENT, addition, manager="injector", force=False)
    before = await settle(process, person)
    await person.kube.apply(DEPLOYMENT, addition, manager="injector", force=False)
    assert await settle(process, person) == before
    await person.declare(worker={"image": "shop:2", "env": [{"name": "SENDER", "value": "me"}]})
    await person.observed()
    deployment = await eventually(lambda: _of_image(person, "shop:2"), what="the new image")
    assert deployment["metadata"]["labels"]["team"] == "shop"
    template = deployment["spec"]["template"]
    assert template["metadata"]["annotations"]["linkerd.io/inject"] == "enabled"
    containers = {one["name"]: one for one in template["spec"]["containers"]}
    assert containers["sidecar"]["image"] == "proxy:1"
    assert {"REGION", "SENDER"} <= {one["name"] for one in containers["worker"]["env"]}


async def _of_image(person: Person, image: str) -> Body | None:
    deployment = await person.get(DEPLOYMENT, CHILD)
    assert deployment is not None
    containers = {one["name"]: one["image"] for one in deployment["spec"]["template"]["spec"]["containers"]}
    return deployment if containers["worker"] == image else None


async def test_kubectl_waits_for_a_job_and_shows_at_a_glance_how_it_is(
    start: Start, person: Person, kubectl: Kubectl
) -> None:
    await start()
    await person.declare()
    await person.declare("bad-job", worker={"image": "a", "podTemplate": {"spec": {"nonsense": True}}})
    await person.declare("paused", suspend=True)
    kubectl("wait", "--for=condition=Ready", f"job.jetmill.dev/{JOB_NAME}", "--timeout=180s")
    kubectl("wait", "--for=condition=Stalled", "job.jetmill.dev/bad-job", "--timeout=180s")
    kubectl("wait", "--for=condition=Ready", "jmj/paused", "--timeout=180s")
    table = kubectl("get", "jmj")
    wide = kubectl("get", "jmj", "-o", "wide")
    print(f"\n{table}\n{wide}")
    rows = {line.split()[0]: line.split() for line in table.splitlines()}
    assert rows["NAME"] == ["NAME", "READY", "REASON", "BACKLOG", "IN", "FLIGHT", "WORKERS", "DESIRED", "AGE"]
    assert rows[JOB_NAME][1:3] == ["True", "ScaledToZero"]
    assert rows["bad-job"][1:3] == ["False", "InvalidSpec"]
    assert rows["paused"][1:3] == ["True", "Suspended"]
    assert "nonsense" in next(line for line in wide.splitlines() if line.startswith("bad-job"))
    everything = {line.split()[0] for line in kubectl("get", "jetmill").splitlines() if line.startswith("job.")}
    assert everything == {f"job.jetmill.dev/{name}" for name in rows if name != "NAME"}
