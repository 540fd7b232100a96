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
) -> None:
    """Stop the operator, remove what it made, and take its finalizers off what was declared.

    Everything else it is told as the operator is: by the environment.
    """
    from jetmill_operator.cluster.credential import find_credential
    from jetmill_operator.cluster.kube import KubeCluster
    from jetmill_operator.cluster.rest import Rest
    from jetmill_operator.reconcile import release as steps
    from jetmill_operator.reconcile.secret import SecretCopier
    from jetmill_operator.reconcile.settings import settings_from_env

    async def run() -> None:
        settings = settings_from_env()
        installation = steps.Installation(
            settings.pod_namespace, deployment, parse_selector(selector), lease=settings.lease_name
        )
        async with Rest(find_credential(kubeconfig=settings.kubeconfig)) as rest:
            cluster = KubeCluster(rest, namespaces=settings.namespaces)
            copies = SecretCopier(cluster, settings.secrets, namespace=settings.pod_namespace)
            await steps.release(cluster, installation, copies)

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
