"""The commands `jetmill operator`, `jetmill plan` and `jetmill queue`, added by the entry-point group
`jetmill.commands`. Whatever is heavy is imported when one of them runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from jetmill.cli.exit import Exit, exit_of
from jetmill.cli.output import show_error
from jetmill.errors import ConfigError, JetmillError
from jetmill.protocol.name import parse_job_name, parse_namespace
from jetmill_operator.option import HealthPort, Kubeconfig, LogLevel, NatsUrl

if TYPE_CHECKING:
    from jetmill_operator.cluster.ports import Cluster, Kind
    from jetmill_operator.dev.manifest import Manifests
    from jetmill_operator.reconcile.bus import Buses
    from jetmill_operator.reconcile.outlook import Outlook
    from jetmill_operator.reconcile.preview import Preview
    from jetmill_operator.resources.deployment import WorkerLink

T = TypeVar("T")
MANAGER = "jetmill-cli"
"""The field manager of a person's pause and resume."""

Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace of the Jobs [JETMILL_NAMESPACE, default]", show_default=False),
]


def operator(
    kubeconfig: Kubeconfig = None,
    nats_url: NatsUrl = None,
    health_port: HealthPort = None,
    log_level: LogLevel = None,
) -> None:
    """Reconcile the Jobs of a cluster until told to stop; all other settings come from the environment."""
    from jetmill.log import configure
    from jetmill_operator.reconcile.operator import Operator
    from jetmill_operator.reconcile.settings import settings_from_env

    async def command() -> int:
        return await Operator(settings).run()

    try:
        settings = settings_from_env(kubeconfig=kubeconfig, url=nats_url, health_port=health_port, log_level=log_level)
    except ConfigError as err:
        show_error(err)
        raise typer.Exit(exit_of(err)) from err
    configure(settings.log_format, settings.log_level)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    raise typer.Exit(_run(command()))


def plan(
    file: Annotated[Path, typer.Option("--file", "-f", help="A manifest, or a folder of manifests", exists=True)],
    namespace: Namespace = None,
    live: Annotated[bool, typer.Option("--live", help="Compare with the cluster (and NATS) as they are now")] = False,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what the operator would do, as a diff, and do nothing; with --live exit 1 if there is something to do."""
    from jetmill_operator.dev.manifest import decide_namespace, read_manifests

    manifests = read_manifests(file, namespace=namespace)
    for fault in manifests.faults:
        typer.echo(str(fault), err=True)
    asked = namespace or os.environ.get("JETMILL_NAMESPACE")
    where = decide_namespace(manifests, asked=asked)
    previews = _run(_preview(manifests, parse_namespace(where), kubeconfig or "", live=live))
    typer.echo("".join(str(preview) for preview in previews) or "nothing is declared there\n", nl=False)
    if manifests.faults or any(preview.fault for preview in previews):
        raise typer.Exit(Exit.USAGE)
    raise typer.Exit(Exit.NO if live and any(preview.plan for preview in previews) else Exit.OK)


queue = typer.Typer(
    name="queue",
    help="Pause a Job and let it go on, in the cluster.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@queue.command()
def pause(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A Job")],
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Suspend a Job: jobs are accepted and wait, what runs goes on."""
    _set_suspend(name, namespace, kubeconfig, suspend=True)


@queue.command()
def resume(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A Job")],
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Let a suspended Job go on."""
    _set_suspend(name, namespace, kubeconfig, suspend=False)


def _set_suspend(name: str, namespace: str | None, kubeconfig: str | None, *, suspend: bool) -> None:
    async def command() -> bool:
        from jetmill_operator.cluster.kube import KubeCluster
        from jetmill_operator.cluster.ports import JOB
        from jetmill_operator.cluster.rest import Rest

        async with Rest(find_cluster(kubeconfig or "")) as rest:
            return await suspend_object(KubeCluster(rest), JOB, where, parse_job_name(name), suspend=suspend)

    where = parse_namespace(namespace or os.environ.get("JETMILL_NAMESPACE") or "default")
    changed = _run(command())
    state = "suspended" if suspend else "not suspended"
    typer.echo(f"Job {name} is {state}" + ("" if changed else " already"))


async def suspend_object(cluster: Cluster, kind: Kind, namespace: str, name: str, *, suspend: bool) -> bool:
    """Set `spec.suspend` as a person would with kubectl; tell whether it was otherwise. AbsentError."""
    from jetmill_operator.cluster.errors import AbsentError

    body = await cluster.get(kind, namespace, name)
    if body is None:
        what = f"there is no {kind.name} {name} in namespace {namespace}"
        raise AbsentError(what, code=404, cure="see `kubectl get jetmill -A`")
    if bool(body["spec"].get("suspend", False)) is suspend:
        return False
    await cluster.patch(kind, namespace, name, {"spec": {"suspend": suspend}}, manager=MANAGER)
    return True


def find_cluster(kubeconfig: str) -> Any:
    """How to reach the cluster that a kubeconfig names; ConfigError."""
    from jetmill_operator.cluster.credential import find_credential

    try:
        return find_credential(kubeconfig=kubeconfig or os.environ.get("KUBECONFIG", ""))
    except ConfigError as err:
        cure = "name a kubeconfig; with `jetmill dev` write `suspend: true` into the manifest: it is obeyed when saved"
        raise ConfigError(err.message, cure=cure) from err


async def _preview(manifests: Manifests, namespace: str, kubeconfig: str, *, live: bool) -> list[Preview | Outlook]:
    if not live:
        return await _look(manifests, namespace)
    from jetmill.bus.connect import connect_trunk
    from jetmill.client.settings import settings_from_env
    from jetmill_operator.cluster.kube import KubeCluster
    from jetmill_operator.cluster.rest import Rest
    from jetmill_operator.reconcile.bus import Buses

    async with Rest(find_cluster(kubeconfig)) as rest:
        if not os.environ.get("JETMILL_NATS_URL"):
            return await _look(manifests, namespace, KubeCluster(rest))
        buses = Buses(await connect_trunk(settings_from_env(run_jobs=False).bus_options()), replicas=_find_replicas())
        try:
            return await _look(manifests, namespace, KubeCluster(rest), buses)
        finally:
            await buses.close()


async def _look(
    manifests: Manifests, namespace: str, cluster: Cluster | None = None, buses: Buses | None = None
) -> list[Preview | Outlook]:
    from jetmill_operator.api.scheduledjob import ScheduledJob
    from jetmill_operator.api.webhook import Webhook
    from jetmill_operator.reconcile.outlook import Forecaster
    from jetmill_operator.reconcile.preview import Previewer

    jobs = [declared.job for declared in manifests.jobs.values()]
    found: list[Preview | Outlook] = []
    previewer = Previewer(namespace, link=_find_link(), cluster=cluster, buses=buses)
    found += await previewer.preview(jobs)
    bus = None if buses is None else buses.of(namespace)
    now = (lambda: time.time_ns() // 1_000) if bus is None else bus.link.now
    forecaster = Forecaster(namespace, now=now, cluster=cluster, bus=bus)
    others = [one.model for one in manifests.objects.values()]
    return [
        *found,
        *[await forecaster.look(one, jobs=manifests.jobs) for one in others if isinstance(one, ScheduledJob)],
        *await previewer.preview_webhooks([one for one in others if isinstance(one, Webhook)]),
    ]


def _find_link() -> WorkerLink:
    """How the operator's workers would reach NATS, as far as this environment tells."""
    from jetmill_operator.resources.deployment import WorkerLink

    environ = os.environ
    url = environ.get("JETMILL_WORKER_NATS_URL") or environ.get("JETMILL_NATS_URL") or "nats://nats:4222"
    return WorkerLink(
        url, prefix=environ.get("JETMILL_PREFIX") or "jm", secret=environ.get("JETMILL_WORKER_SECRET", "")
    )


def _find_replicas() -> int:
    text = os.environ.get("JETMILL_STREAM_REPLICAS", "")
    return int(text) if text.isdigit() and int(text) > 0 else 1


def _run(command: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(command)
    except JetmillError as err:
        show_error(err)
        raise typer.Exit(exit_of(err)) from err
    except KeyboardInterrupt as err:
        sys.stderr.write("\n")
        raise typer.Exit(Exit.INTERRUPTED) from err
