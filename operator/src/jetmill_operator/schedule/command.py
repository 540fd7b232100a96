"""The command `jetmill schedule`, added by the entry-point group `jetmill.commands`.

What is planned is read from NATS, as every other command reads jobs; to suspend is to edit the object, so that goes to
the cluster. `next` with an expression needs neither.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from jetmill.cli.exit import Exit
from jetmill.cli.output import Format, age, build_table, note, show
from jetmill.cli.parse import parse_moment
from jetmill.cli.session import Namespace, NatsUrl, Output, connected, run
from jetmill.errors import InputError
from jetmill_operator.option import Kubeconfig

if TYPE_CHECKING:
    from jetmill_operator.calendar.preview import Occurrence
    from jetmill_operator.calendar.slot import Calendar

app = typer.Typer(help="ScheduledJobs: what is planned, and when.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A ScheduledJob")]


class SlotRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One slot to come."""

    time: datetime
    local: datetime
    note: str = ""


@app.command("list")
def list_schedules(namespace: Namespace = None, nats_url: NatsUrl = None, output: Output = Format.TABLE) -> None:
    """List schedules as they are in force, with the last and the next run."""

    async def command() -> None:
        from jetmill.ledger import schedule
        from jetmill_operator.schedule.view import read_view

        async with connected(namespace, nats_url) as client:
            bus = await client.connect()
            rows = [await read_view(bus, stored) for stored in await schedule.list_schedules(bus)]
        columns = ("name", "job", "schedule", "zone", "next", "last", "state", "missed")
        cells = [
            (
                row.name,
                row.job,
                row.schedule or (row.every and f"every {row.every}"),
                row.time_zone,
                "suspended" if row.suspended else age(row.next),
                age(row.last),
                row.last_state,
                row.missed,
            )
            for row in rows
        ]
        show(rows, output, table=build_table(columns, cells))

    run(command)


@app.command("next")
def show_next(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|EXPRESSION]", help='A ScheduledJob, or "0 9 * * MON-FRI"', show_default=False),
    ] = None,
    every: Annotated[str | None, typer.Option("--every", help="A length of time: 90s", show_default=False)] = None,
    zone: Annotated[
        str | None, typer.Option("--zone", "-z", help="Time zone of an expression [UTC]", show_default=False)
    ] = None,
    count: Annotated[int, typer.Option("--count", "-c", min=1, max=10_000, help="How many")] = 5,
    start: Annotated[
        str | None, typer.Option("--from", help="From this ISO time on, not from now", show_default=False)
    ] = None,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Show when a schedule fires, shifts of the clocks included; an expression needs no connection."""

    async def command() -> None:
        from jetmill_operator.calendar.preview import list_occurrences
        from jetmill_operator.calendar.zone import to_instant

        moment = datetime.now(UTC) if start is None else parse_moment(start, option="--from")
        calendar = await find_calendar(what, every, zone, namespace=namespace, nats_url=nats_url)
        found = list_occurrences(calendar, to_instant(moment), count)
        show([_build_row(one) for one in found], output, table=build_preview(found))

    run(command)


def _build_row(found: Occurrence) -> SlotRow:
    from jetmill_operator.calendar.zone import to_moment

    return SlotRow(to_moment(found.instant), found.local, found.note)


def build_preview(found: list[Occurrence], *, now: datetime | None = None) -> str:
    """The table of slots to come."""
    from jetmill_operator.calendar.zone import to_moment

    rows = [
        (
            one.local.strftime("%a %Y-%m-%d %H:%M:%S %z"),
            to_moment(one.instant).strftime("%Y-%m-%dT%H:%M:%SZ"),
            age(to_moment(one.instant), now=now),
            one.note,
        )
        for one in found
    ]
    return build_table(("local", "utc", "due", "clocks"), rows, empty="never")


async def find_calendar(
    what: str | None, every: str | None, zone: str | None, *, namespace: str | None, nats_url: str | None
) -> Calendar:
    """The calendar that is meant; InputError for what is none."""
    from jetmill.ledger.schedule import find_schedule
    from jetmill.protocol.name import is_label
    from jetmill_operator.schedule.view import calendar_of, read_calendar

    if (what is None) == (every is None):
        raise InputError("next of what?", cure="give a ScheduledJob's name, an expression in quotes, or --every")
    if every is None and what is not None and is_label(what):
        async with connected(namespace, nats_url) as client:
            return calendar_of((await find_schedule(await client.connect(), what)).plan)
    return read_calendar(what, every, zone or "UTC")


@app.command("trigger")
def trigger(
    name: Name,
    payload: Annotated[
        str | None, typer.Option("--payload", "-p", help="A JSON object instead of its own", show_default=False)
    ] = None,
    job_id: Annotated[
        str | None, typer.Option("--id", help="An id: the same again is the same job", show_default=False)
    ] = None,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Enqueue a job of a schedule now, beside its slots; also while it is suspended."""

    async def command() -> None:
        from jetmill.ledger import schedule

        data = None if payload is None else payload.encode()
        if data is not None:
            _check_payload(data)
        async with connected(namespace, nats_url) as client:
            submitted = await schedule.trigger(await client.connect(), name, by=client.by, job_id=job_id, payload=data)
        show({"id": submitted.id, "created": submitted.created}, output, table=submitted.id)

    run(command)


def _check_payload(data: bytes) -> None:
    try:
        value = msgspec.json.decode(data)
    except msgspec.MsgspecError as err:
        raise InputError(f"--payload: {err}", field="--payload", cure="write a JSON object") from err
    if not isinstance(value, dict):
        raise InputError("--payload: is no object", field="--payload", cure='write a JSON object: {"region": "eu"}')


@app.command("export")
def export(
    path: Annotated[
        Path, typer.Argument(metavar="[DIR|FILE]", help="The manifests of the Jobs, beside their code", exists=True)
    ] = Path(),
) -> None:
    """Print the schedules that handlers say of themselves, as manifests for kubectl; exit 2 if one cannot be."""
    from jetmill_operator.dev.folder import find_exports

    folder = (path if path.is_dir() else path.parent).resolve()

    async def command() -> Exit:
        found, faults = await find_exports(path, folder=folder)
        for fault in faults:
            note(str(fault))
        if found:
            import yaml

            sys.stdout.write(yaml.safe_dump_all(found, explicit_start=True, sort_keys=False, allow_unicode=True))
        return Exit.USAGE if faults else Exit.OK

    code = run(command)
    if code:
        raise typer.Exit(code)


@app.command("suspend")
def suspend(name: Name, namespace: Namespace = None, kubeconfig: Kubeconfig = None) -> None:
    """Suspend a schedule in the cluster: what is planned is withdrawn, what runs goes on."""
    _set_suspend(name, namespace, kubeconfig, suspend=True)


@app.command("resume")
def resume(name: Name, namespace: Namespace = None, kubeconfig: Kubeconfig = None) -> None:
    """Let a suspended schedule go on, from now."""
    _set_suspend(name, namespace, kubeconfig, suspend=False)


def _set_suspend(name: str, namespace: str | None, kubeconfig: str | None, *, suspend: bool) -> None:
    async def command() -> None:
        from jetmill.protocol.name import parse_label, parse_namespace
        from jetmill_operator.cluster.kube import KubeCluster
        from jetmill_operator.cluster.ports import SCHEDULED_JOB
        from jetmill_operator.cluster.rest import Rest
        from jetmill_operator.reconcile.command import find_cluster, suspend_object

        where = parse_namespace(namespace or os.environ.get("JETMILL_NAMESPACE") or "default")
        async with Rest(find_cluster(kubeconfig or "")) as rest:
            changed = await suspend_object(
                KubeCluster(rest), SCHEDULED_JOB, where, parse_label(name, field="name"), suspend=suspend
            )
        note(f"ScheduledJob {name} is {'suspended' if suspend else 'not suspended'}" + ("" if changed else " already"))

    run(command)
