"""`jetmill release`: what the chart runs before `helm uninstall` goes on."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from jetmill.cli.exit import exit_of
from jetmill.cli.output import show_error
from jetmill.errors import ConfigError, JetmillError


def release(
    deployment: Annotated[str, typer.Option("--deployment", help="The operator's Deployment")],
    selector: Annotated[str, typer.Option("--selector", help="Labels of its pods: NAME=VALUE,…")],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", envvar="JETMILL_POD_NAMESPACE", help="The operator's namespace")
    ] = "default",
    watched: Annotated[
        str,
        typer.Option("--watch-namespaces", envvar="JETMILL_WATCH_NAMESPACES", help="Namespaces it watches; none: all"),
    ] = "",
    copies: Annotated[
        str, typer.Option("--secrets", envvar="JETMILL_SECRET_NAMESPACES", help="Secrets that it copies")
    ] = "",
    kubeconfig: Annotated[str, typer.Option("--kubeconfig", envvar="KUBECONFIG", help="In place of the pod's")] = "",
) -> None:
    """Stop the operator, remove what it made, and take its finalizers off what was declared."""
    from jetmill_operator.cluster.credential import find_credential
    from jetmill_operator.cluster.kube import KubeCluster
    from jetmill_operator.cluster.rest import Rest
    from jetmill_operator.reconcile import release as steps
    from jetmill_operator.reconcile.secret import Copies, parse_copies

    async def run() -> None:
        installation = steps.Installation(namespace, deployment, parse_selector(selector))
        namespaces = tuple(name for name in watched.split(",") if name)
        async with Rest(find_credential(kubeconfig=kubeconfig)) as rest:
            cluster = KubeCluster(rest, namespaces=namespaces)
            await steps.release(cluster, installation, Copies(cluster, parse_copies(copies), home=namespace))

    try:
        asyncio.run(run())
    except JetmillError as err:
        show_error(err)
        raise typer.Exit(exit_of(err)) from err


def parse_selector(text: str) -> dict[str, str]:
    """Read `a=b,c=d`; ConfigError if that selects everything, or is no list of labels."""
    pairs = [part.partition("=") for part in text.split(",") if part]
    if not pairs or not all(name and equals and value for name, equals, value in pairs):
        raise ConfigError(f"{text!r} is no list of labels", cure="as in app.kubernetes.io/component=operator")
    return {name: value for name, _, value in pairs}
