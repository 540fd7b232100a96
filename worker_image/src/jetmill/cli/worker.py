"""`jetmill worker`: run jobs. The worker reads its own environment; options outrank it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jetmill.cli.exit import exit_of
from jetmill.cli.output import show_error
from jetmill.cli.session import Namespace, NatsUrl
from jetmill.errors import JetmillError


def worker(
    jobs: Annotated[
        list[str] | None,
        typer.Option("--job", "-j", help="A Job to serve; may be repeated [JETMILL_JOBS]", show_default=False),
    ] = None,
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--import", "-i", help="A module with handlers; may be repeated [JETMILL_IMPORT]", show_default=False
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", "-c", min=1, help="Jobs at once [JETMILL_CONCURRENCY]", show_default=False),
    ] = None,
    grace_seconds: Annotated[
        float | None,
        typer.Option(
            "--grace-seconds", min=0, help="To finish in after SIGTERM [JETMILL_GRACE_SECONDS]", show_default=False
        ),
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(
            "--health-port",
            min=0,
            max=65_535,
            help="Of /livez, /readyz, /metrics [JETMILL_HEALTH_PORT]",
            show_default=False,
        ),
    ] = None,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
) -> None:
    """Run the jobs of one or more Jobs until told to stop (SIGTERM, Ctrl-C)."""
    from jetmill.light import import_without

    import_without("structlog", "rich")
    from jetmill.worker import run_worker
    from jetmill.worker.settings import settings_from_env

    given: dict[str, Any] = {
        "jobs": tuple(jobs) if jobs else None,
        "modules": tuple(modules) if modules else None,
        "concurrency": concurrency,
        "grace_seconds": grace_seconds,
        "health_port": health_port,
        "namespace": namespace,
        "url": nats_url,
    }
    try:
        code = run_worker(settings_from_env(**given))
    except JetmillError as err:
        show_error(err)
        raise typer.Exit(exit_of(err)) from err
    raise typer.Exit(code)
