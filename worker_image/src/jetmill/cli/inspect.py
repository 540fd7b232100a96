"""`jetmill why`, `stats`, `verify`, `version`: looking, and changing nothing."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jetmill.cli.exit import Exit
from jetmill.cli.output import Format, build_facts, build_table, show
from jetmill.cli.progress import Bar
from jetmill.cli.session import Namespace, NatsUrl, Output, connected, run
from jetmill.errors import JobNotFoundError

if TYPE_CHECKING:
    from jetmill.bus.ports import Bus
    from jetmill.cli.cause import Cause
    from jetmill.client.client import Client
    from jetmill.ledger.verify import Report


def why(
    name: Annotated[str, typer.Argument(metavar="NAME|ID", help="A Job, or the id of a job")],
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Say why a job, or a Job's jobs, do not run: what was just looked at, and what to do."""

    async def command() -> list[Cause]:
        async with connected(namespace, nats_url) as client:
            return await find_causes(client, name)

    causes = run(command)
    lines = [f"{cause.text}\n" + (f"  cure: {cause.cure}\n" if cause.cure else "") for cause in causes]
    show(causes, output, table="".join(lines) or f"nothing keeps the jobs of {name} from running\n")


def stats(
    job: Annotated[str | None, typer.Argument(help="Only this Job", show_default=False)] = None,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Count what waits and runs of each Job, and who works on it."""

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            found = await client.stats(job)
            workers = await client.workers()
        names = ("job", "ready", "in_flight", "delayed", "workers", "slots", "busy", "suspended")
        rows = [[getattr(one, name) for name in names] for one in found]
        titles = [name.replace("_", " ") for name in names]
        value = {"jobs": found, "workers": workers}
        show(value, output, table=build_table(titles, rows, empty="no Jobs are declared"))

    run(command)


def verify(
    projection: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare a gateway's projection too", show_default=False)
    ] = None,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Read the whole ledger and prove the invariants of the protocol; exit 1 on any violation."""

    async def command() -> bool:
        from jetmill.ledger.verify import verify as verify_ledger

        async with connected(namespace, nats_url) as client:
            bus = await client.connect()
            with Bar(label="verify") as bar:
                report = await verify_ledger(
                    bus, on_progress=lambda seq, last: bar.draw(seq / max(last, 1), f"{seq} of {last}")
                )
            if projection is not None:
                await _compare(bus, report, namespace=client.settings.namespace, path=projection)
        facts: list[tuple[str, object]] = [
            ("jobs", report.jobs),
            ("records", report.records),
            *((f"  {state}", count) for state, count in sorted(report.states.items())),
            ("open", report.open),
            ("without a hint now", report.unhinted),
            ("unreadable", report.unreadable),
            *([] if report.projected is None else [("in the projection", report.projected)]),
            ("violations", report.violation_count),
        ]
        rows = [(one.id, one.rule, one.sequences, one.text) for one in report.violations]
        found = build_table(("id", "rule", "sequences", "violation"), rows) if rows else ""
        show(report, output, table=build_facts(facts) + ("\n" + found if found else ""))
        return report.clean

    if not run(command):
        raise typer.Exit(Exit.NO)


async def _compare(bus: Bus, report: Report, *, namespace: str, path: Path) -> None:
    from jetmill.cli.hook import compare_projection

    report.projected, findings = await compare_projection(bus, namespace=namespace, path=str(path))
    for finding in findings:
        report.add(*finding)


def version(output: Output = Format.TABLE) -> None:
    """Show the versions of Jetmill, of its bus client and of Python."""
    from importlib.metadata import version as version_of

    import jetmill

    facts = {"jetmill": jetmill.__version__, "nats-py": version_of("nats-py"), "python": platform.python_version()}
    show(facts, output, table=build_facts(list(facts.items())))


async def find_causes(client: Client, name: str) -> list[Cause]:
    """Look at a Job, or else at the job of that id."""
    from jetmill.cli import sight
    from jetmill.cli.hook import ask_others

    if any(settings.job == name for settings in await client.jobs()):
        return await sight.find_job_causes(client, name) + await ask_others(name, client.settings.namespace)
    try:
        status = await client.status(name)
    except JobNotFoundError as err:
        raise JobNotFoundError(
            f"{name} is neither a Job nor a job of namespace {client.settings.namespace}",
            cure="see `jetmill job types` and `jetmill job list`",
        ) from err
    return await sight.find_causes(client, status)
