"""The command `jetmill dispatcher`, added by the entry-point group `jetmill.commands`."""

from __future__ import annotations

import asyncio
import logging
import sys

import typer

from jetmill.cli.exit import Exit, exit_of
from jetmill.cli.output import show_error
from jetmill.errors import ConfigError
from jetmill_operator.option import HealthPort, Kubeconfig, LogLevel, Namespaces, NatsUrl


def dispatcher(
    namespaces: Namespaces = None,
    nats_url: NatsUrl = None,
    kubeconfig: Kubeconfig = None,
    health_port: HealthPort = None,
    log_level: LogLevel = None,
) -> None:
    """Route events and deliver Webhooks until told to stop; all other settings come from the environment."""
    from jetmill.interpreter import find_loop_factory
    from jetmill.log import configure
    from jetmill_operator.dispatch.process import Dispatcher
    from jetmill_operator.dispatch.settings import settings_from_env

    try:
        settings = settings_from_env(
            namespaces=tuple(namespaces) if namespaces else None,
            url=nats_url,
            kubeconfig=kubeconfig,
            health_port=health_port,
            log_level=log_level,
        )
    except ConfigError as err:
        show_error(err)
        raise typer.Exit(exit_of(err)) from err
    configure(settings.log_format, settings.log_level)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")

    async def command() -> int:
        return await Dispatcher(settings).run()

    try:
        with asyncio.Runner(loop_factory=find_loop_factory()) as runner:
            status = runner.run(command())
    except KeyboardInterrupt as err:
        sys.stderr.write("\n")
        raise typer.Exit(Exit.INTERRUPTED) from err
    raise typer.Exit(status)
