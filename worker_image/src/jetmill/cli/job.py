"""`jetmill job`: list, types, run, status, cancel, retry, logs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jetmill.cli.exit import Exit, exit_of
from jetmill.cli.output import Format, age, build_facts, build_table, show, show_error, span
from jetmill.cli.parse import parse_since
from jetmill.cli.session import Namespace, NatsUrl, Output, connected, run
from jetmill.cli.submit import run_job
from jetmill.errors import ConfigError, JetmillError

if TYPE_CHECKING:
    from jetmill.client.client import Client
    from jetmill.client.status import JobStatus, JobSummary, Transition

app = typer.Typer(help="Enqueue jobs, look at them, and act on them.", no_args_is_help=True)

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of jobs", show_default=False)]
JobFilter = Annotated[
    str | None,
    typer.Option("--job", "-j", help="Only of this Job; wh--NAME: the deliveries of a Webhook", show_default=False),
]
Since = Annotated[
    str | None, typer.Option("--since", help="Changed since: 10m, 2h, 1d, or an ISO time", show_default=False)
]
Limit = Annotated[int, typer.Option("--limit", "-l", min=0, help="At most so many, 0 for all")]


@app.command("list")
def list_jobs(
    job: JobFilter = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", help="Only in this state, or `open`; may be repeated", show_default=False),
    ] = None,
    reason: Annotated[
        list[str] | None,
        typer.Option("--reason", help="Only for this reason: exhausted, withdrawn, …", show_default=False),
    ] = None,
    since: Since = None,
    limit: Limit = 50,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """List jobs, the one that changed last first; not slots that a schedule withdrew, unless --reason asks."""

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            found = await client.list(
                job=job, state=state or None, reason=reason or None, since=parse_since(since), limit=limit or None
            )
        show(found, output, table=build_job_table(found))

    run(command)


@app.command("types")
def list_types(
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--import", "-i", help="Show the handlers of a module instead; asks no server", show_default=False
        ),
    ] = None,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """List the Jobs that are declared, or the handlers that modules register."""

    async def command() -> None:
        if modules:
            rows = _find_handlers(modules)
        else:
            async with connected(namespace, nats_url) as client:
                rows = [
                    {
                        "job": settings.job,
                        "handler": settings.handler or " ".join(settings.command or []) or None,
                        "max_retries": settings.max_retries,
                        "timeout_seconds": settings.timeout_seconds,
                        "suspended": settings.suspend,
                    }
                    for settings in await client.jobs()
                ]
        columns = ("job", "handler", "max_retries", "timeout_seconds", "suspended")
        titles = ("job", "handler", "retries", "timeout", "suspended")
        show(rows, output, table=build_table(titles, [[row[name] for name in columns] for row in rows]))

    run(command)


app.command("run")(run_job)


@app.command("status")
def show_status(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the job")],
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Show all that the ledger knows of a job."""

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            status = await client.status(job_id)
        show(status, output, table=_build_status_text(status))

    run(command)


@app.command("cancel")
def cancel_jobs(ids: Ids, namespace: Namespace = None, nats_url: NatsUrl = None, output: Output = Format.TABLE) -> None:
    """Cancel jobs, waiting or running."""

    def act(client: Client, job_id: str) -> Coroutine[Any, Any, Transition]:
        return client.cancel(job_id)

    act_on_each(ids, act, namespace=namespace, nats_url=nats_url, output=output)


@app.command("retry")
def retry_jobs(ids: Ids, namespace: Namespace = None, nats_url: NatsUrl = None, output: Output = Format.TABLE) -> None:
    """Enqueue finished jobs once more; let those that wait for their next attempt have it now."""

    def act(client: Client, job_id: str) -> Coroutine[Any, Any, Transition]:
        return client.retry(job_id)

    act_on_each(ids, act, namespace=namespace, nats_url=nats_url, output=output)


@app.command("logs")
def show_logs(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the job")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more comes, until the job ends")] = False,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what a job logged."""
    from jetmill.cli.trace import print_logs

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            await print_logs(client, job_id, follow=follow, output=output)

    run(command)


def act_on_each(ids: list[str], act: Any, *, namespace: str | None, nats_url: str | None, output: Format) -> None:
    """Do the same to each job: errors are shown as they come, and the last one's exit code is the command's."""

    async def command() -> Exit:
        code = Exit.OK
        done: list[Transition] = []
        async with connected(namespace, nats_url) as client:
            for job_id in ids:
                try:
                    done.append(await act(client, job_id))
                except JetmillError as err:
                    show_error(err)
                    code = exit_of(err)
        rows = [(one.id, one.job, one.state, one.reason) for one in done]
        if done or output is not Format.TABLE:
            show(done, output, table=build_table(("id", "job", "state", "reason"), rows))
        return code

    code = run(command)
    if code:
        raise typer.Exit(code)


def build_job_table(found: list[JobSummary]) -> str:
    """Jobs, a line for each."""
    return build_table(
        ("id", "job", "state", "attempt", "age", "changed", "due", "reason", "error"),
        [
            (
                one.id,
                one.job,
                one.state,
                one.attempt,
                age(one.enqueued),
                age(one.changed),
                age(one.due),
                one.reason,
                None if one.error is None else one.error[:60],
            )
            for one in found
        ],
        empty="no jobs",
    )


def _build_status_text(status: JobStatus) -> str:
    error = status.error
    facts = build_facts(
        [
            ("id", status.id),
            ("job", f"{status.namespace}/{status.job}"),
            ("state", str(status.state)),
            ("reason", None if status.reason is None else str(status.reason)),
            ("attempt", status.attempt),
            ("max retries", status.max_retries),
            ("crashes", status.crashes or None),
            ("priority", status.priority),
            ("enqueued", status.enqueued),
            ("scheduled for", status.scheduled_for),
            ("started", status.started),
            ("finished", status.finished),
            ("duration", span(status.duration_seconds)),
            ("worker", status.worker),
            ("user", status.user),
            ("labels", status.labels or None),
            ("concurrency key", status.concurrency_key),
            ("concurrency policy", status.concurrency_policy),
            ("trace", status.trace),
            ("payload", status.payload if status.payload_ref is None else status.payload_ref),
            ("result", status.result if status.result_ref is None else status.result_ref),
            ("error", None if error is None else f"{error.type}: {error.message}"),
        ]
    )
    rows = [(one.seq, one.time, one.state, one.attempt, one.reason, one.by) for one in status.history]
    history = build_table(("seq", "time", "state", "attempt", "reason", "by"), rows)
    trace = "" if error is None or not error.traceback else f"\n{error.traceback.rstrip()}\n"
    return f"{facts}\n{history}{trace}"


def _find_handlers(modules: list[str]) -> list[dict[str, Any]]:
    from jetmill.client.declaration import default_registry

    sys.path.insert(0, str(Path.cwd()))
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as err:
            raise ConfigError(f"cannot import {name}: {err}", cure="is it installed, and is this its folder?") from err
    return [
        {
            "job": handler.name,
            "handler": handler.origin,
            "max_retries": handler.declared.max_retries,
            "timeout_seconds": handler.declared.timeout_seconds,
            "suspended": None,
        }
        for handler in sorted(default_registry, key=lambda handler: handler.name)
    ]
