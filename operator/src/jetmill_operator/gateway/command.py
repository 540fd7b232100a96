"""The command `jetmill gateway`, added by the entry-point group `jetmill.commands`."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Annotated, Any

import typer

from jetmill.cli.exit import Exit, exit_of
from jetmill.cli.output import show_error
from jetmill.errors import ConfigError
from jetmill_operator.option import Kubeconfig, LogLevel, Namespaces, NatsUrl


def gateway(
    host: Annotated[
        str | None, typer.Option("--host", help="The address to listen on [JETMILL_GATEWAY_HOST, 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65_535, help="The port; 0: any [JETMILL_GATEWAY_PORT, 8420]"),
    ] = None,
    auth: Annotated[
        str | None, typer.Option("--auth", help="kubernetes, or none (loopback only) [JETMILL_GATEWAY_AUTH]")
    ] = None,
    namespaces: Namespaces = None,
    nats_url: NatsUrl = None,
    kubeconfig: Kubeconfig = None,
    log_level: LogLevel = None,
) -> None:
    """Serve jobs over HTTP until told to stop; all other settings come from the environment."""
    from jetmill.interpreter import calm_collector, find_loop_factory
    from jetmill.log import configure
    from jetmill_operator.gateway.process import Gateway
    from jetmill_operator.gateway.settings import settings_from_env

    given: dict[str, Any] = {"host": host, "port": port, "auth": auth, "url": nats_url, "kubeconfig": kubeconfig}
    try:
        settings = settings_from_env(**given, namespaces=tuple(namespaces) if namespaces else None, log_level=log_level)
    except ConfigError as err:
        show_error(err)
        raise typer.Exit(exit_of(err)) from err
    configure(settings.log_format, settings.log_level)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")

    async def command() -> int:
        calm_collector()
        return await Gateway(settings).run()

    try:
        with asyncio.Runner(loop_factory=find_loop_factory()) as runner:
            raise typer.Exit(runner.run(command()))
    except KeyboardInterrupt as err:
        sys.stderr.write("\n")
        raise typer.Exit(Exit.INTERRUPTED) from err
