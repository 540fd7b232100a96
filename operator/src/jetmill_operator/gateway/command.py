"""The command `jetmill gateway`, added by the entry-point group `jetmill.commands`."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer

from jetmill.cli.exit import Exit, exit_of
from jetmill.cli.output import show_error
from jetmill.errors import JetmillError


def gateway(
    nats_url: Annotated[
        str | None, typer.Option("--nats-url", "-s", help="Where NATS is [JETMILL_NATS_URL]", show_default=False)
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", help="The address to listen on [JETMILL_GATEWAY_HOST, 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65_535, help="The port; 0: a free one [JETMILL_GATEWAY_PORT, 8420]"),
    ] = None,
    auth: Annotated[
        str | None, typer.Option("--auth", help="kubernetes, or none on loopback [JETMILL_GATEWAY_AUTH]")
    ] = None,
    kubeconfig: Annotated[
        str | None, typer.Option("--kubeconfig", help="The kubeconfig [KUBECONFIG, in a pod its own]")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", help="debug, info, warning, error [JETMILL_LOG_LEVEL]")
    ] = None,
) -> None:
    """Serve the REST API until told to stop; all other settings come from the environment."""
    from jetmill.log import configure
    from jetmill_operator.gateway.server import Gateway
    from jetmill_operator.gateway.settings import settings_from_env

    try:
        settings = settings_from_env(
            url=nats_url, host=host, port=port, auth=auth, kubeconfig=kubeconfig, log_level=log_level
        )
        configure(settings.log_format, settings.log_level)
        logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")

        async def command() -> None:
            await Gateway(settings).run()

        asyncio.run(command())
    except JetmillError as err:
        show_error(err)
        raise typer.Exit(exit_of(err)) from err
    raise typer.Exit(Exit.OK)
