"""`jetmill webhook`: how receivers fare, what was sent to them, and what a person does about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jetmill.cli.job import Limit
from jetmill.cli.output import Format, age, build_facts, build_table, note, show, span
from jetmill.cli.parse import parse_moment, parse_span
from jetmill.cli.session import Namespace, NatsUrl, Output, connected, run
from jetmill.errors import InputError

if TYPE_CHECKING:
    from jetmill.client.client import Client
    from jetmill.protocol.delivery import AttemptLog, EndpointState
    from jetmill.protocol.record import JobSettings
    from jetmill_operator.dispatch.history import Delivery

app = typer.Typer(
    name="webhook",
    help="Webhooks: how receivers fare, what was sent, and sending it again.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A Webhook")]
Since = Annotated[str, typer.Option("--since", help="How long ago (2h, 3d), or an ISO time")]
Until = Annotated[
    str | None, typer.Option("--until", help="The end: as --since; now, if not given", show_default=False)
]
State = Annotated[str | None, typer.Option("--state", help="Only those in a state: failed, retrying, …")]


@app.command("list")
def list_all(namespace: Namespace = None, nats_url: NatsUrl = None, output: Output = Format.TABLE) -> None:
    """List Webhooks with how their receivers fare: attempts of the last 24 hours."""

    async def command() -> None:
        from jetmill_operator.dispatch.history import list_webhooks

        async with connected(namespace, nats_url) as client:
            bus = await client.connect()
            found, now = await list_webhooks(bus), bus.link.now()
        rows = [build_row(settings, state, now) for settings, state in found]
        show(rows, output, table=build_table(list(_COLUMNS), [list(row.values()) for row in rows]))

    run(command)


@app.command()
def deliveries(
    name: Name,
    state: State = None,
    limit: Limit = 50,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """List the deliveries of a Webhook, the one that changed last first."""

    async def command() -> None:
        from jetmill.protocol.name import name_deliveries
        from jetmill_operator.dispatch.event import EVENT_LABEL

        async with connected(namespace, nats_url) as client:
            found = await client.list(job=name_deliveries(name), state=state, limit=limit or None)
        columns = ["id", "event", "state", "reason", "attempt", "changed", "due"]
        rows = [
            [one.id, one.labels.get(EVENT_LABEL), one.state, one.reason, one.attempt, age(one.changed), age(one.due)]
            for one in found
        ]
        show(found, output, table=build_table(columns, rows))

    run(command)


@app.command("show")
def show_one(
    delivery: Annotated[str, typer.Argument(metavar="ID", help="A delivery")],
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Show a delivery: the event, and each request with its answer."""

    async def command() -> None:
        from jetmill_operator.dispatch.history import read_delivery

        async with connected(namespace, nats_url) as client:
            found = await read_delivery(await client.connect(), delivery)
        show(found, output, table=describe(found))

    run(command)


@app.command()
def redeliver(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Deliveries that ended, or wait for an attempt")],
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
) -> None:
    """Send deliveries once more, or now, under their ids."""

    async def command() -> None:
        from jetmill_operator.dispatch.history import redeliver as send_again

        async with connected(namespace, nats_url) as client:
            for one in ids:
                await send_again(client, one)
                typer.echo(one)

    run(command)


@app.command("test")
def try_one(
    name: Name,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the answer; 0: none")] = 30.0,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Send a test event (`webhook.test`) to a Webhook alone, and show what it answers."""

    async def command() -> None:
        from jetmill_operator.dispatch.history import read_delivery, send_test

        async with connected(namespace, nats_url) as client:
            delivery_id = await send_test(client, name)
            if wait:
                await _wait_for_attempt(client, delivery_id, wait)
            found = await read_delivery(await client.connect(), delivery_id)
        show(found, output, table=describe(found))

    run(command)


@app.command()
def recover(
    name: Name,
    since: Since,
    until: Until = None,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Send the events of a stretch of time again: those without a delivery, and those whose delivery failed."""

    async def command() -> None:
        from jetmill_operator.dispatch.history import recover as send_again

        async with connected(namespace, nats_url) as client:
            first = read_moment(since, option="--since")
            last = None if until is None else read_moment(until, option="--until")
            found = await send_again(client, name, since=first, until=last)
        facts = [("events", found.events), ("new", found.created), ("again", found.reopened), ("left", found.left)]
        show(found, output, table=build_facts(facts))

    run(command)


@app.command()
def enable(name: Name, namespace: Namespace = None, nats_url: NatsUrl = None) -> None:
    """Send again to a Webhook that was disabled, or whose circuit is open."""

    async def command() -> None:
        from jetmill_operator.dispatch.history import enable_webhook

        async with connected(namespace, nats_url) as client:
            changed = await enable_webhook(await client.connect(), name)
        typer.echo(f"Webhook {name} is sent to" + ("" if changed else " already"))

    run(command)


_COLUMNS = ("name", "circuit", "delivered", "failed", "last", "answer", "url")


def build_row(settings: JobSettings, state: EndpointState | None, now: int) -> dict[str, Any]:
    """One Webhook in the list. Pure."""
    from jetmill.client.status import time_of
    from jetmill.protocol.name import DELIVERIES
    from jetmill_operator.policy.endpoint import find_phase

    last = None if state is None else state.last
    values = (
        settings.job.removeprefix(DELIVERIES),
        "suspended" if settings.suspend else "unknown" if state is None else str(find_phase(state, now)),
        0 if state is None else sum(one.delivered for one in state.hours),
        0 if state is None else sum(one.failed for one in state.hours),
        None if last is None else age(time_of(last.time)),
        None if last is None else last.status or last.error,
        "" if settings.webhook is None else settings.webhook.url,
    )
    return dict(zip(_COLUMNS, values, strict=True))


def describe(delivery: Delivery) -> str:
    """A delivery for people: what it is, and a line for each attempt. Pure."""
    from jetmill.client.status import time_of

    event = delivery.event
    facts = [
        ("id", delivery.id),
        ("webhook", delivery.webhook),
        ("state", str(delivery.state)),
        ("reason", delivery.reason),
        ("event", None if event is None else f"{event.type} {event.id}"),
        ("next attempt", None if delivery.due is None else age(time_of(delivery.due))),
    ]
    columns = ["time", "status", "latency", "answer"]
    return build_facts(facts) + "\n" + build_table(columns, _build_lines(delivery.attempts), empty="no attempt yet")


def _build_lines(attempts: Sequence[AttemptLog]) -> list[list[object]]:
    from jetmill.client.status import time_of

    return [
        [time_of(log.time), log.status, span(log.latency_seconds), (log.error or log.body)[:80]] for log in attempts
    ]


def read_moment(text: str, *, option: str) -> datetime:
    """A moment as people type it; InputError names the option."""
    if "-" in text or ":" in text:
        return parse_moment(text, option=option)
    ago = parse_span(text, option=option)
    if ago > timedelta(days=3_650):
        raise InputError(f"{option}: {text!r} is too long ago", field=option)
    return datetime.now(UTC) - ago


async def _wait_for_attempt(client: Client, delivery_id: str, seconds: float) -> None:
    """Until the delivery is done with, or was tried once."""
    import asyncio

    from jetmill.protocol.state import FINAL, State

    try:
        async with asyncio.timeout(seconds):
            async for step in client.stream(start=1, job_id=delivery_id):
                if step.state in FINAL or step.state is State.RETRYING:
                    return
    except TimeoutError:
        note("no attempt has ended yet")
