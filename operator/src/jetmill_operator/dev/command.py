"""The command `jetmill dev DIR`, added to the command line by the entry-point group `jetmill.commands`."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from jetmill.cli.exit import Exit, exit_of
from jetmill.cli.output import show_error
from jetmill.errors import JetmillError
from jetmill.protocol.name import parse_namespace

DATA_FOLDER = ".jetmill"


def dev(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of your manifests (*.yaml) and code")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Where the store goes (DIR/.jetmill)", show_default=False)
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Of nats-server; 0: a free one")] = 0,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="That of the manifests, or default", show_default=False)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Run what is queued, then leave")] = False,
    grace_seconds: Annotated[
        float, typer.Option("--grace-seconds", min=0, help="How long jobs in hand may run on at the end")
    ] = 30.0,
    gateway_port: Annotated[
        int | None,
        typer.Option("--gateway-port", min=0, max=65_535, help="Of the gateway (8420, or a free one if that is taken)"),
    ] = None,
) -> None:
    """Run Jobs on this machine: nats-server, workers and all, from a folder of manifests; Ctrl-C drains and ends it."""
    from jetmill_operator.dev.screen import Screen
    from jetmill_operator.dev.session import DevOptions, run_dev

    _quiet_libraries()
    try:
        options = DevOptions(
            folder=folder.resolve(),
            data=(data or folder / DATA_FOLDER).resolve(),
            port=port,
            namespace=None if namespace is None else parse_namespace(namespace),
            once=once,
            grace_seconds=grace_seconds,
            gateway_port=gateway_port,
        )
        asyncio.run(run_dev(options, Screen(sys.stdout)))
    except JetmillError as err:
        show_error(err)
        raise typer.Exit(exit_of(err)) from err
    raise typer.Exit(Exit.OK)


def _quiet_libraries() -> None:
    """Show warnings of ours and of libraries; what they chat about is for their own developers."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    for name in ("watchfiles", "nats"):
        logging.getLogger(name).setLevel(logging.ERROR)
