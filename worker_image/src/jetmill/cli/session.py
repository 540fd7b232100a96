"""What every command shares: its options, its client, and one place where errors become exit codes."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from jetmill.cli.exit import Exit, exit_of
from jetmill.cli.output import Format, show_error
from jetmill.errors import DisconnectedError, JetmillError, NoAnswerError

if TYPE_CHECKING:
    from jetmill.client.client import Client

T = TypeVar("T")
LOCAL_URL = "nats://127.0.0.1:4222"

Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace of the Jobs [JETMILL_NAMESPACE, default]", show_default=False),
]
NatsUrl = Annotated[
    str | None,
    typer.Option(
        "--nats-url", "-s", help=f"Where NATS is [JETMILL_NATS_URL, NATS_URL, {LOCAL_URL}]", show_default=False
    ),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to show the answer")]


def run(command: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command's coroutine; an error is shown with its cure and becomes the exit code."""
    try:
        return asyncio.run(command())
    except (JetmillError, TimeoutError) as err:
        show_error(_explain(err))
        raise typer.Exit(exit_of(err)) from err
    except KeyboardInterrupt as err:
        raise typer.Exit(Exit.INTERRUPTED) from err


@asynccontextmanager
async def connected(namespace: str | None, nats_url: str | None) -> AsyncIterator[Client]:
    """A client by the environment and the options. Unlike a script's, it never falls back to memory."""
    from jetmill.client.client import Client
    from jetmill.client.settings import settings_from_env

    configured = nats_url or os.environ.get("JETMILL_NATS_URL") or os.environ.get("NATS_URL")
    settings = settings_from_env(namespace=namespace, url=configured or LOCAL_URL, run_jobs=False)
    async with Client(settings, by=_person()) as client:
        yield client


def _person() -> str:
    """Who acts, as the ledger records it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "cli"  # a container's user without a name


def _explain(err: JetmillError | TimeoutError) -> JetmillError | TimeoutError:
    if isinstance(err, (DisconnectedError, NoAnswerError)) and not err.cure:
        return type(err)(err.message, cure="is NATS up? set --nats-url or JETMILL_NATS_URL, or start `jetmill dev DIR`")
    if isinstance(err, TimeoutError) and not str(err):
        return TimeoutError("not done in time; the job goes on")
    return err
