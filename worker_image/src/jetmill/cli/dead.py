"""`jetmill dead`: failed jobs that wait for a person; list, retry, discard."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jetmill.cli.exit import Exit
from jetmill.cli.job import JobFilter, Limit, Since, act_on_each, build_job_table
from jetmill.cli.output import Format, show
from jetmill.cli.parse import parse_since
from jetmill.cli.session import Namespace, NatsUrl, Output, connected, run
from jetmill.errors import InputError

if TYPE_CHECKING:
    from jetmill.client.client import Client
    from jetmill.client.status import JobSummary, Transition

app = typer.Typer(help="Failed jobs: whole, and waiting for a person.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of failed jobs", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="All that fit --job and --reason, instead of ids")]
Reason = Annotated[
    str | None, typer.Option("--reason", help="Only those that failed for it: exhausted, …", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")]


@app.command("list")
def list_dead(
    job: JobFilter = None,
    reason: Reason = None,
    since: Since = None,
    limit: Limit = 50,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """List failed jobs, the one that failed last first."""

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            found = await find_dead(client, job=job, reason=reason, since=since)
        some = found[:limit] if limit else found
        show(some, output, table=build_job_table(some))

    run(command)


def _add_command(verb: str, act: Callable[[Client, str], Coroutine[Any, Any, Transition]], *, doc: str) -> None:
    """Add a command that does something to the failed jobs of some ids, or to all that fit."""

    def command(
        ids: Ids = None,
        every: All = False,
        job: JobFilter = None,
        reason: Reason = None,
        yes: Yes = False,
        namespace: Namespace = None,
        nats_url: NatsUrl = None,
        output: Output = Format.TABLE,
    ) -> None:
        chosen = _choose(ids, every, job, reason, yes, verb=verb, namespace=namespace, nats_url=nats_url)
        act_on_each(chosen, act, namespace=namespace, nats_url=nats_url, output=output)

    command.__doc__ = doc
    app.command(verb)(command)


_add_command(
    "retry", lambda client, job_id: client.retry(job_id), doc="Enqueue failed jobs once more: attempt 1, no crashes."
)
_add_command(
    "discard", lambda client, job_id: client.discard(job_id), doc="Give failed jobs up for good; nothing follows."
)


async def find_dead(
    client: Client, *, job: str | None, reason: str | None, since: str | None = None
) -> list[JobSummary]:
    """Failed jobs that fit."""
    found = await client.list(job=job, state="failed", since=parse_since(since), limit=None)
    return [one for one in found if reason is None or one.reason == reason]


def _choose(
    ids: list[str] | None,
    every: bool,
    job: str | None,
    reason: str | None,
    yes: bool,
    *,
    verb: str,
    namespace: str | None,
    nats_url: str | None,
) -> list[str]:
    """The ids that were given, or with --all those that fit, once the person has said yes."""

    async def command() -> list[str]:
        if bool(ids) == every:
            raise InputError(f"{verb} which?", cure=f"give ids, or --all: jetmill dead {verb} --all --job NAME")
        if ids:
            return ids
        async with connected(namespace, nats_url) as client:
            return [one.id for one in await find_dead(client, job=job, reason=reason)]

    chosen = run(command)
    if every and chosen and not yes:
        if not sys.stdin.isatty():
            sys.stderr.write(f"error: {verb} {len(chosen)} jobs?\n  cure: say so with --yes\n")
            raise typer.Exit(Exit.USAGE)
        if not typer.confirm(f"{verb} {len(chosen)} jobs?", err=True):
            raise typer.Exit(Exit.NO)
    return chosen
