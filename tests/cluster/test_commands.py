"""The commands that speak to a cluster, as somebody types them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from jetmill_operator.cluster.ports import DEPLOYMENT
from support.operating import Start
from support.person import CHILD, JOB_NAME, Person
from support.wait import eventually, soon

MANIFEST = """
apiVersion: jetmill.dev/v1alpha1
kind: Job
metadata: {{name: {name}}}
spec:
  handler: shop.tasks:send_email
  worker: {{image: {image}}}
{more}
"""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str


Type = Callable[..., Awaitable[Done]]


@pytest.fixture
def jetmill(environ: Mapping[str, str], namespace: str) -> Type:
    """Type a command."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("JETMILL_")}
    told = {"KUBECONFIG": environ["KUBECONFIG"], "JETMILL_NATS_URL": environ["JETMILL_NATS_URL"]}

    async def run(*words: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "jetmill", *words),
            env={**own, **told, "JETMILL_NAMESPACE": namespace},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await soon(process.communicate(), seconds=180)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    return run


def write(folder: Path, name: str = JOB_NAME, *, image: str = "shop:1", more: str = "") -> str:
    file = folder / f"{name}.yaml"
    file.write_text(MANIFEST.format(name=name, image=image, more=more))
    return str(file)


async def test_a_plan_against_the_cluster_is_what_happens_then_and_nothing_afterwards(
    start: Start, person: Person, jetmill: Type, tmp_path: Path
) -> None:
    file = write(tmp_path)
    planned = await jetmill("plan", "--live", "-f", file)
    print(f"\n{planned.out}{planned.err}")
    assert planned.status == 1
    assert f"Job {JOB_NAME}: " in planned.out
    assert CHILD in planned.out
    assert await person.get() is None
    assert await person.get(DEPLOYMENT, CHILD) is None
    await start()
    await person.declare()
    await person.sees("Ready", "True ScaledToZero")
    planned = await jetmill("plan", "--live", "-f", file)
    assert (planned.status, planned.out) == (0, f"Job {JOB_NAME}: nothing to do\n"), planned
    planned = await jetmill("plan", "--live", "-f", write(tmp_path, image="shop:2"))
    print(planned.out)
    assert planned.status == 1
    assert "shop:2" in planned.out
    deployment = await person.get(DEPLOYMENT, CHILD)
    assert deployment is not None
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"


async def test_a_plan_says_what_the_clusters_own_rules_refuse(person: Person, jetmill: Type, tmp_path: Path) -> None:
    """What the models refuse as well never gets there; a Job without an image is fine on a laptop only."""
    file = write(tmp_path, more="  scaling: {minReplicas: 5, maxReplicas: 2}")
    planned = await jetmill("plan", "--live", "-f", file)
    print(f"\n{planned.out}{planned.err}")
    assert planned.status == 2
    assert "minReplicas" in planned.out + planned.err
    junk = "  payload: {schema: {type: nonsense}}"
    planned = await jetmill("plan", "--live", "-f", write(tmp_path, "other", more=junk))
    print(f"\n{planned.out}{planned.err}")
    assert planned.status == 2
    assert "spec.payload.schema" in planned.out + planned.err

    laptop = tmp_path / "laptop.yaml"
    laptop.write_text(MANIFEST.format(name="laptop", image="x", more="").replace("  worker: {image: x}\n", ""))
    planned = await jetmill("plan", "--live", "-f", str(laptop))
    print(f"\n{planned.out}{planned.err}")
    assert planned.status == 2
    assert "Job laptop: stalled: " in planned.out
    assert "image" in planned.out


async def test_a_queue_is_paused_and_resumed_with_a_kubeconfig(start: Start, person: Person, jetmill: Type) -> None:
    await start()
    await person.declare()
    await person.sees("Ready", "True ScaledToZero")
    for verb, state, reason in (("pause", "suspended", "Suspended"), ("resume", "not suspended", "ScaledToZero")):
        done = await jetmill("queue", verb, JOB_NAME)
        assert (done.status, done.out) == (0, f"Job {JOB_NAME} is {state}\n"), done
        await person.sees("Ready", f"True {reason}")
        done = await jetmill("queue", verb, JOB_NAME)
        assert (done.status, done.out) == (0, f"Job {JOB_NAME} is {state} already\n"), done
    done = await jetmill("queue", "pause", "nobody")
    assert done.status != 0
    assert "there is no Job nobody" in done.err


async def test_why_asks_the_cluster_too(start: Start, person: Person, jetmill: Type) -> None:
    await start()
    await person.declare(worker={"image": "shop:1", "nodeSelector": {"no": "where"}}, scaling={"minReplicas": 1})
    await person.sees("Ready", "False Unschedulable")
    done = await jetmill("why", JOB_NAME)
    print(f"\n{done.out}{done.err}")
    assert "finds no node" in done.out

    async def is_told() -> bool:
        return "the autoscaler's last decision" in (await jetmill("why", JOB_NAME)).out

    await eventually(is_told, what="the last decision to be told")
