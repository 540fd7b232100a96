"""`jetmill trial`: a Job is declared, a job of it enqueued, its worker comes from zero, the result is compared.

What `helm test` runs. Everything takes part: the operator, NATS and its logins, the autoscaler and a worker's pod. The
chart cannot hold the Job itself: Helm takes every hook of a kind named Job for one of Kubernetes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jetmill.cli.exit import exit_of
from jetmill.cli.output import note, show_error
from jetmill.client.client import Client
from jetmill.errors import JetmillError, NoAnswerError
from jetmill_operator.cluster.ports import JOB, Body, Cluster

PAYLOAD = {"hello": "world"}
_LOOK_SECONDS = 0.5


def build_trial(namespace: str, name: str, *, image: str, pull_policy: str = "", pull_secrets: str = "") -> Body:
    """A Job whose handler is a program: what it is called with is what it returns."""
    worker: dict[str, Any] = {"image": image}
    if pull_policy:
        worker["imagePullPolicy"] = pull_policy
    if pull_secrets:
        worker["imagePullSecrets"] = [{"name": one} for one in pull_secrets.split(",")]
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "command": ["cat"],
            "worker": worker,
            "scaling": {"minReplicas": 0, "maxReplicas": 1},
            "deletionPolicy": "Delete",
        },
    }


def is_ready(body: Body | None) -> bool:
    """It is as declared, and jobs can be enqueued."""
    status: Mapping[str, Any] = (body or {}).get("status") or {}
    if body is None or status.get("observedGeneration") != body["metadata"].get("generation"):
        return False
    ready = [one["status"] for one in status.get("conditions") or () if one["type"] == "Ready"]
    return ready == ["True"]


async def run_trial(cluster: Cluster, client: Client, body: Body) -> Any:
    """Declare, wait until it is ready, run one job, remove; the job's result. ClusterError, JobFailedError.

    One that was left from before is removed first. Takes as long as it is let.
    """
    meta = body["metadata"]
    namespace, name = meta["namespace"], meta["name"]
    await cluster.delete(JOB, namespace, name)
    while await cluster.get(JOB, namespace, name) is not None:  # noqa: ASYNC110 - no watch for a minute's work
        await asyncio.sleep(_LOOK_SECONDS)
    await cluster.create(JOB, body)
    try:
        while not is_ready(await cluster.get(JOB, namespace, name)):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        note(f"{name} is ready")
        await client.connect()
        handle = await client.enqueue(name, PAYLOAD)
        note(f"{handle.id} is enqueued")
        return await handle.result()
    finally:
        await cluster.delete(JOB, namespace, name)


def trial(
    image: Annotated[str, typer.Option("--image", help="The worker's image")],
    name: Annotated[str, typer.Option("--name", help="What to call the Job; one of that name is removed")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", envvar="JETMILL_NAMESPACE")] = "default",
    pull_policy: Annotated[str, typer.Option("--pull-policy", help="When to pull the image")] = "",
    pull_secrets: Annotated[str, typer.Option("--pull-secrets", help="Names, parted by commas")] = "",
    kubeconfig: Annotated[str, typer.Option("--kubeconfig", envvar="KUBECONFIG", help="In place of the pod's")] = "",
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds for all of it")] = 180,
) -> None:
    """Run one real job from a cold start, and remove everything again; exit 0 if its result is right."""
    from jetmill.client.settings import settings_from_env
    from jetmill_operator.cluster.credential import find_credential
    from jetmill_operator.cluster.kube import KubeCluster
    from jetmill_operator.cluster.rest import Rest

    body = build_trial(namespace, name, image=image, pull_policy=pull_policy, pull_secrets=pull_secrets)

    async def run() -> Any:
        client = Client(settings_from_env(namespace=namespace, run_jobs=False))
        try:
            async with asyncio.timeout(timeout), Rest(find_credential(kubeconfig=kubeconfig)) as rest:
                return await run_trial(KubeCluster(rest), client, body)
        except TimeoutError as err:
            raise NoAnswerError(
                f"not done within {timeout:g} s",
                cure=f"kubectl -n {namespace} describe jmj {name}, and the operator's log",
            ) from err
        finally:
            await client.close()

    try:
        result = asyncio.run(run())
    except JetmillError as err:
        show_error(err)
        raise typer.Exit(exit_of(err)) from err
    note(f"result: {result}")
    raise typer.Exit(0 if result == PAYLOAD else 1)
